import Control
import Engine
import Testing

@testable import CommandLine

struct StatsTextTests {
    private func statsRow(_ set: (inout ContainerStatistics) -> Void) -> StatsRow {
        var statistics = ContainerStatistics()
        set(&statistics)
        let definition = ContainerDefinition(id: String(repeating: "ab", count: 32), name: "web")
        return StatsRow(
            ContainerView(definition: definition, observation: ContainerObservation(.running)), statistics, as: "w")
    }

    @Test func statsAsDockerWritesThem() throws {
        let row = statsRow {
            $0.processor = 150.128
            $0.memory = 10_485_760
            $0.memoryLimit = 1_610_612_736
            ($0.received, $0.sent) = (1_296, 446)
            ($0.read, $0.written) = (4_263_000, 0)
            $0.tasks = 12
        }
        let table = try StatsFormat("", full: false).render([row])
        #expect(
            table == """
                CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O        BLOCK I/O     PIDS
                abababababab   web       150.13%   10MiB / 1.5GiB      0.65%     1.3kB / 446B   4.26MB / 0B   12

                """)
        #expect(
            try StatsFormat("json", full: false).render([row])
                == #"{"BlockIO":"4.26MB / 0B","CPUPerc":"150.13%","Container":"w","ID":"abababababab","MemPerc":"0.65%","#
                + #""MemUsage":"10MiB / 1.5GiB","Name":"web","NetIO":"1.3kB / 446B","PIDs":"12"}"# + "\n")
        #expect(try StatsFormat("{{.Container}} {{.PIDs}}", full: true).render([row, row]) == "w 12\nw 12\n")
        #expect(
            try StatsFormat("table {{.ID}}\\t{{.MemPerc}}\\t{{.Container}}", full: true).render([])
                == "CONTAINER ID   MEM %     CONTAINER\n")
        #expect(try StatsFormat("table", full: false).render([row]) == table)
        #expect(throws: CommandError.self) { try StatsFormat("{{.Nothing}}", full: false).render([row]) }
    }

    @Test func statsOfNobody() throws {
        let text = try StatsFormat("{{.CPUPerc}}|{{.MemUsage}}|{{.MemPerc}}|{{.NetIO}}|{{.BlockIO}}|{{.PIDs}}", full: false).render([
            statsRow { _ in }
        ])
        #expect(text == "--|-- / --|--|--|--|--\n")
    }

    @Test(arguments: [
        (0.0, "0.00%"), (0.004, "0.00%"), (0.005, "0.01%"), (99.999, "100.00%"), (12.5, "12.50%"), (1234.5678, "1234.57%"),
        (.infinity, "0.00%"), (.nan, "0.00%"), (1e300, "0.00%"),
    ])
    func percent(value: Double, text: String) { #expect(StatsRow.percent(value) == text) }
}
