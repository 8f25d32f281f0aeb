public import Logging

/// The code for one kind of link and its controllers.
///
/// A driver is built into a module (`DriverMain.run(MyDriver.self)`) and runs as a process of its own, one for each link.
public protocol LockDriver: Sendable {
    /// The module's name, as in its manifest: `modbus`.
    static var name: String { get }

    /// The module's version, for people: `0.1.0`.
    static var version: String { get }

    /// Makes the controllers of one link, keyed by controller id. Touches no hardware and starts nothing.
    ///
    /// Options were checked against the manifest's schema and its defaults filled in; what only the driver can judge it
    /// refuses here with ``LockerError/Code/invalidRequest``, naming the option, what was wanted and what came.
    static func makeControllers(
        for link: LinkDescription, context: DriverContext
    ) throws(LockerError) -> [String: any LockController]

    /// What an installer should know of a link that is not wrong: one clause for people each. `lockerd --check` shows them, and the
    /// log whenever the link starts.
    static func remarks(on link: LinkDescription) -> [String]
}

extension LockDriver {
    /// Nothing.
    public static func remarks(on link: LinkDescription) -> [String] { [] }
}

/// What a driver is given besides its options.
public struct DriverContext: Sendable {
    /// The link's name, for messages.
    public let link: String
    /// Where all time comes from.
    public let clock: any MonotonicClock
    /// Where all log lines go; `debug` is for bytes.
    public let logger: Logger
    /// Sends readings that nobody asked for (an edge, a push from the board) to the core at once.
    public let report: @Sendable (_ controller: String, _ doors: [DoorReading]) -> Void

    /// Makes a context; `DriverMain` does it in a module, a test does it by hand.
    public init(
        link: String, clock: any MonotonicClock = ContinuousClock(), logger: Logger,
        report: @escaping @Sendable (_ controller: String, _ doors: [DoorReading]) -> Void = {
            _, _ in
        }
    ) {
        self.link = link
        self.clock = clock
        self.logger = logger
        self.report = report
    }
}

/// One link as its file describes it.
public struct LinkDescription: Sendable {
    /// The link's name: the name of its file.
    public let name: String
    /// The `[link]` table.
    public let options: Options
    /// The controllers on this link, in file order.
    public let controllers: [ControllerDescription]

    /// Makes a description.
    public init(name: String, options: Options, controllers: [ControllerDescription]) {
        self.name = name
        self.options = options
        self.controllers = controllers
    }
}

/// One controller of a link.
public struct ControllerDescription: Sendable {
    /// The controller's site-wide id: `wall`.
    public let id: String
    /// The driver's own keys of the `[[controller]]` table.
    public let options: Options
    /// The board profile the controller names; empty where the driver uses none.
    public let board: Options
    /// Its lockers, by rising number.
    public let lockers: [LockerDescription]

    /// Makes a description.
    public init(
        id: String, options: Options, board: Options = Options(), lockers: [LockerDescription]
    ) {
        self.id = id
        self.options = options
        self.board = board
        self.lockers = lockers
    }
}

/// One locker of a controller.
public struct LockerDescription: Sendable {
    /// Its number on the controller, from 1.
    public let number: Int
    /// Whether a door sensor is wired.
    public let hasSensor: Bool
    /// The driver's own keys of its `[[controller.locker]]` table.
    public let options: Options

    /// Makes a description.
    public init(number: Int, hasSensor: Bool = true, options: Options = Options()) {
        self.number = number
        self.hasSensor = hasSensor
        self.options = options
    }
}
