import CommandLine
import Glibc

// `CommandLine` names our module here; the process's arguments are the standard library's.
exit(BerthProgram.main(Array(Swift.CommandLine.arguments.dropFirst())))
