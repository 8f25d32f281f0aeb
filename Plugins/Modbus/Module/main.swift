import LockerKit
import ModbusDriver

// With a word the installer's tools, without one the driver.
if let word = CommandLine.arguments.dropFirst().first {
    await ModbusTool.run(word)
} else {
    await DriverMain.run(ModbusDriver.self)
}
