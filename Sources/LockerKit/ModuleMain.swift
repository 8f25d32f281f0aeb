/// The main program of a driver module.
///
/// ```swift
/// import LockerKit
/// import YardDriver
///
/// await DriverMain.run(YardDriver.self)
/// ```
/// It speaks the module protocol on standard input and output; stray prints of the driver go to standard error.
public enum DriverMain {
    /// Serves the daemon until it goes away, stops every controller that was started, and ends the process.
    public static func run<Driver: LockDriver>(_: Driver.Type) async -> Never {
        await ModuleProcess.run { DriverService<Driver>($0) }
    }
}

/// The main program of an uplink module: `await UplinkMain.run(MyUplink.self)`.
public enum UplinkMain {
    /// Serves the daemon until it goes away, stops the uplink, and ends the process.
    public static func run<Carrier: Uplink>(_: Carrier.Type) async -> Never {
        await ModuleProcess.run { UplinkService<Carrier>($0) }
    }
}
