import BLETowerDriver
import Glibc
import LockerKit

if CommandLine.arguments.count > 1 {
    BLETool.run(CommandLine.arguments[1])
}
await DriverMain.run(BLETowerDriver.self)
