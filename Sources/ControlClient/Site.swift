package import JSONLines

/// A word of the protocol whose list may grow; a word that this version does not know is kept as it came.
public protocol OpenWord: RawRepresentable<String>, Hashable, Sendable {}

/// What is known about a door now.
public struct Door: OpenWord {
    /// The word on the wire.
    public let rawValue: String
    /// Takes any word.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The sensor says open.
    public static let open = Door(rawValue: "open")
    /// The sensor says closed.
    public static let closed = Door(rawValue: "closed")
    /// No sensor, or no reading young enough.
    public static let unknown = Door(rawValue: "unknown")
}

/// How far a door's reading can be trusted.
public struct Quality: OpenWord {
    /// The word on the wire.
    public let rawValue: String
    /// Takes any word.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// Young enough to act on.
    public static let good = Quality(rawValue: "good")
    /// Too old; `LockerStatus.lastDoor` says what it was.
    public static let stale = Quality(rawValue: "stale")
    /// The locker has no sensor.
    public static let none = Quality(rawValue: "none")
}

/// The site as one `status` reply shows it.
public struct SiteStatus: Sendable {
    /// When, RFC 3339 in UTC by the daemon's clock.
    public let at: String
    /// Differs after each start of the daemon.
    public let bootID: String
    /// Number of the newest event this reply knows of.
    public let seq: Int
    /// The site's name.
    public let site: String
    /// `ok`, `degraded` or `down`.
    public let health: String
    /// Why it is not `ok`.
    public let causes: [HealthCause]
    /// Controllers in the daemon's order.
    public let controllers: [ControllerStatus]
    /// Lockers in the daemon's order.
    public let lockers: [LockerStatus]
    /// The ways to the upstreams; empty also where only a part of the site was asked for, or may be seen.
    public let uplinks: [UplinkStatus]
    /// The result as the daemon sent it, one line of JSON.
    public let json: String

    package init(_ reply: Reply) throws(ControlError) {
        let fields = try Fields(reply.result, at: "status")
        at = try fields.string("at")
        bootID = try fields.string("bootId")
        seq = try fields.integer("seq")
        site = try fields.string("site")
        health = try fields.string("health")
        causes = try fields.optionalArray("causes", HealthCause.init)
        controllers = try fields.array("controllers", ControllerStatus.init)
        lockers = try fields.array("lockers", LockerStatus.init)
        uplinks = try fields.optionalArray("uplinks", UplinkStatus.init)
        json = reply.text
    }
}

/// One reason why a site is not well.
public struct HealthCause: Sendable, Equatable {
    /// For programs: `controller-faulted`, ….
    public let code: String
    /// A controller's id or a locker's address; empty where it is about the site.
    public let subject: String
    /// For people.
    public let message: String

    init(_ json: JSON, at place: String) throws(ControlError) {
        if let text = json.stringValue {
            (code, subject, message) = ("", "", text)
            return
        }
        let fields = try Fields(json, at: place)
        code = fields["code"]?.stringValue ?? ""
        subject = fields["subject"]?.stringValue ?? ""
        message = try fields.string("message")
    }
}

/// One controller.
public struct ControllerStatus: Sendable, Equatable {
    /// Its name in addresses.
    public let id: String
    /// The module that knows its make.
    public let driver: String
    /// What it is reached through.
    public let link: String
    /// `starting`, `ready`, `faulted`, `quarantined` or `stopped`.
    public let state: String
    /// When the state was entered, RFC 3339 in UTC.
    public let since: String?
    /// Milliseconds since the board last answered well; nil where it never did.
    public let lastGoodMs: Double?
    /// Starts of its module after the first.
    public let restarts: Int
    /// Why it is not ready, or why its module died last.
    public let reason: String?
    /// How many lockers it has.
    public let lockers: Int

    package init(_ json: JSON, at place: String) throws(ControlError) {
        let fields = try Fields(json, at: place)
        id = try fields.string("id")
        driver = try fields.string("driver")
        link = try fields.string("link")
        state = try fields.string("state")
        since = fields["since"]?.stringValue
        lastGoodMs = fields["lastGoodMs"]?.doubleValue
        restarts = fields["restarts"]?.intValue ?? 0
        reason = fields["reason"]?.stringValue
        lockers = fields["lockers"]?.intValue ?? fields["lockers"]?.arrayValue?.count ?? 0
    }
}

/// One uplink: the way to one upstream.
public struct UplinkStatus: Sendable, Equatable {
    /// Its name, unique among the uplinks.
    public let name: String
    /// The module that carries beats; nil where none was found.
    public let module: String?
    /// `starting`, `ready`, `faulted` or `quarantined`.
    public let state: String
    /// When the state was entered, RFC 3339 in UTC.
    public let since: String?
    /// Starts of its module after the first.
    public let restarts: Int
    /// Why it is not ready, or why the newest beat did not arrive.
    public let reason: String?
    /// Milliseconds since the upstream took a beat; nil where it never did.
    public let lastDeliveredMs: Double?

    package init(_ json: JSON, at place: String) throws(ControlError) {
        let fields = try Fields(json, at: place)
        name = try fields.string("name")
        module = fields["module"]?.stringValue
        state = try fields.string("state")
        since = fields["since"]?.stringValue
        restarts = fields["restarts"]?.intValue ?? 0
        reason = fields["reason"]?.stringValue
        lastDeliveredMs = fields["lastDeliveredMs"]?.doubleValue
    }
}

/// One locker.
public struct LockerStatus: Sendable, Equatable {
    /// Site-wide number.
    public let id: Int
    /// `controller/number`.
    public let address: String
    /// What is written on its door.
    public let name: String
    /// The controller it is wired to.
    public let controller: String
    /// The group it stands in.
    public let bank: String?
    /// What is known about its door now.
    public let door: Door
    /// What a stale reading said.
    public let lastDoor: Door?
    /// Age of the reading in milliseconds; nil where there is none.
    public let doorAgeMs: Double?
    /// How far that can be trusted.
    public let quality: Quality
    /// The controller answers and the locker can be fired.
    public let isOperational: Bool
    /// Taken out of service: `open` refuses it.
    public let isOutOfService: Bool
    /// The lock fires without its sensor being asked.
    public let hasBrokenLock: Bool
    /// Why it is out of service, for programs.
    public let reasonCode: String?
    /// Why it is out of service, for people.
    public let reason: String?
    /// Its last finished open.
    public let lastOpen: LastOpen?
    /// Pulses fired in the lock's life, as far as the daemon has kept it.
    public let cycles: Int
    /// Pulses after which the sensor still said closed.
    public let jams: Int
    /// How long its door takes to open; nil before the first time.
    public let doorTimes: DoorTimes?
    /// Why its sensor is not to be believed, as far as it shows; nil where nothing is suspected.
    public let suspicion: SensorSuspicion?

    /// The last finished open of a locker.
    public struct LastOpen: Sendable, Equatable {
        /// The operation's id.
        public let operation: String
        /// RFC 3339 in UTC.
        public let at: String
        /// Nil where it ended in an error.
        public let outcome: String?
    }

    /// From the order to the door seen open.
    public struct DoorTimes: Sendable, Equatable {
        /// Doors that were timed.
        public let count: Int
        /// In milliseconds.
        public let meanMs: Double
        /// What 95 of 100 doors took at most, in milliseconds.
        public let p95Ms: Double
    }

    /// A sensor that does not move with its door, or moves too often.
    public struct SensorSuspicion: Sendable, Equatable {
        /// `unmoved`, `flapping`; the list may grow.
        public let kind: String
        /// RFC 3339 in UTC.
        public let since: String?
        /// What was seen, as one clause.
        public let message: String
    }

    package init(_ json: JSON, at place: String) throws(ControlError) {
        let fields = try Fields(json, at: place)
        id = try fields.integer("id")
        address = try fields.string("address")
        name = fields["name"]?.stringValue ?? ""
        controller = try fields.string("controller")
        bank = fields["bank"]?.stringValue
        door = Door(rawValue: try fields.string("door"))
        lastDoor = fields["lastDoor"]?.stringValue.map(Door.init(rawValue:))
        doorAgeMs = fields["doorAgeMs"]?.doubleValue
        quality = Quality(rawValue: try fields.string("quality"))
        isOperational = try fields.boolean("operational")
        isOutOfService = try fields.boolean("outOfService")
        hasBrokenLock = try fields.boolean("brokenLock")
        reasonCode = fields["reasonCode"]?.stringValue
        reason = fields["reason"]?.stringValue
        cycles = fields["cycles"]?.intValue ?? 0
        jams = fields["jams"]?.intValue ?? 0
        doorTimes = fields["doorTimes"].flatMap { times in
            guard let count = times["count"]?.intValue, let mean = times["meanMs"]?.doubleValue,
                let p95 = times["p95Ms"]?.doubleValue
            else { return nil }
            return DoorTimes(count: count, meanMs: mean, p95Ms: p95)
        }
        suspicion = fields["suspicion"].map { suspicion in
            SensorSuspicion(
                kind: suspicion["kind"]?.stringValue ?? "",
                since: suspicion["since"]?.stringValue,
                message: suspicion["message"]?.stringValue ?? "its sensor is suspected")
        }
        if let last = fields["lastOpen"] {
            let lastFields = try Fields(last, at: fields.path("lastOpen"))
            lastOpen = LastOpen(
                operation: try lastFields.string("operation"), at: try lastFields.string("at"),
                outcome: lastFields["outcome"]?.stringValue)
        } else {
            lastOpen = nil
        }
    }
}
