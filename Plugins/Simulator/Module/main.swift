import LockerKit
import SimulatorDriver

await DriverMain.run(SimulatorDriver.self)
