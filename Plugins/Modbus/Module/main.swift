import LockerKit
import ModbusDriver

await DriverMain.run(ModbusDriver.self)
