import Glibc
import RuntimeCommands

exit(RuntimeProgram.main(Array(CommandLine.arguments.dropFirst())))
