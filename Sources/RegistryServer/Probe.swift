import NIOCore
import NIOPosix
public func serverProbe() -> Int { System.coreCount }
