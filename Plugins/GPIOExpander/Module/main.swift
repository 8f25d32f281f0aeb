import GPIODriver
import Glibc
import LockerKit

if CommandLine.arguments.count > 1 {
    GPIOTool.run(CommandLine.arguments[1])
}
await DriverMain.run(GPIODriver.self)
