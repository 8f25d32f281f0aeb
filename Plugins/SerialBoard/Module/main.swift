import LockerKit
import SerialBoardDriver

await DriverMain.run(SerialBoardDriver.self)
