package import JSONLines

/// Everything the files under `etc` say about a site, checked. Values only: no file, no TOML, no behaviour.
package struct SitePlan: Sendable, Equatable {
    /// The site's name: `depot-17`.
    package var site: String
    package var control: ControlPlan
    /// Folders in which modules are looked for, first match wins.
    package var moduleDirectories: [String]
    /// Supply groups by name.
    package var supplyGroups: [String: SupplyGroup]
    /// One for each file in `links.d`, sorted by name; also those whose file is bad.
    package var links: [LinkPlan]
    package var heartbeat: HeartbeatPlan
    package var uplinks: [UplinkPlan]
    package var doors: DoorPlan
    /// Folder for what must survive a restart; nil where the file names none.
    package var stateDirectory: String?

    package init(
        site: String, control: ControlPlan = ControlPlan(), moduleDirectories: [String] = [],
        supplyGroups: [String: SupplyGroup] = [:], links: [LinkPlan] = [],
        heartbeat: HeartbeatPlan = HeartbeatPlan(), uplinks: [UplinkPlan] = [],
        doors: DoorPlan = DoorPlan(), stateDirectory: String? = nil
    ) {
        self.site = site
        self.control = control
        self.moduleDirectories = moduleDirectories
        self.supplyGroups = supplyGroups
        self.links = links
        self.heartbeat = heartbeat
        self.uplinks = uplinks
        self.doors = doors
        self.stateDirectory = stateDirectory
    }

    /// Modules that the daemon starts: one for each link and each uplink.
    package var moduleCount: Int { links.count + uplinks.count }
}

/// What is expected of doors and their sensors.
package struct DoorPlan: Sendable, Equatable {
    /// How long after a pulse an opening door still counts as opened by it.
    package var late: Duration
    /// How long a door may stand open before that is worth an event; zero means for ever.
    package var held: Duration
    /// Pulses in a row after which a sensor that has not moved is suspected; 0 means never.
    package var suspectPulses: Int
    /// Movements within `suspectWindow` from which a sensor is suspected of flapping; 0 means never.
    package var suspectFlips: Int
    package var suspectWindow: Duration

    package init(
        late: Duration = .seconds(60), held: Duration = .seconds(300), suspectPulses: Int = 5,
        suspectFlips: Int = 12, suspectWindow: Duration = .seconds(60)
    ) {
        self.late = late
        self.held = held
        self.suspectPulses = suspectPulses
        self.suspectFlips = suspectFlips
        self.suspectWindow = suspectWindow
    }
}

/// How much a coil may be used.
package struct CoilPlan: Sendable, Equatable {
    /// Least time between the end of one pulse and the beginning of the next.
    package var rest: Duration
    /// Pulses within any 60 s.
    package var opensPerMinute: Int
    /// Share of the time that the coil may be on for ever, in percent.
    package var dutyPercent: Int
    /// On-time that a cold coil can take at once, beyond its share.
    package var burst: Duration

    package init(
        rest: Duration = .milliseconds(100), opensPerMinute: Int = 60, dutyPercent: Int = 25,
        burst: Duration = .seconds(10)
    ) {
        self.rest = rest
        self.opensPerMinute = opensPerMinute
        self.dutyPercent = dutyPercent
        self.burst = burst
    }
}

/// The control socket and who may do what on it.
package struct ControlPlan: Sendable, Equatable {
    package var socket: String
    /// Group that owns the socket; `nil` leaves the daemon's own.
    package var group: String?
    /// Rules in file order; a peer holds every right that any matching rule gives. The daemon's own uid and root hold all.
    package var rules: [AccessRule]
    /// Most connections at once.
    package var maximumClients: Int

    package init(
        socket: String = "/run/lockerd/control.sock", group: String? = nil,
        rules: [AccessRule] = [], maximumClients: Int = 256
    ) {
        self.socket = socket
        self.group = group
        self.rules = rules
        self.maximumClients = maximumClients
    }
}

/// A set of verbs on the control socket.
package enum Right: String, Sendable, CaseIterable {
    /// status, controllers, operation, subscribe, version, schema
    case view
    /// open, cancel of one's own kind of work
    case operate
    case openAll = "open-all"
    /// service, opening what is out of service, heartbeat of a device, restart
    case maintenance
    /// reload
    case configure
}

/// One `[[control.rule]]`: who, which rights, on which lockers.
package struct AccessRule: Sendable, Equatable {
    /// Name in messages: `control.rule[0] (group kiosk)`.
    package var name: String
    /// Numeric user ids this rule speaks of; empty with `gids` and `strangers` empty means everybody.
    package var uids: [UInt32]
    package var gids: [UInt32]
    /// Users and groups that the rule names and this machine does not know. They get nothing, and nobody gets it in their place.
    package var strangers: [String]
    package var rights: Set<Right>
    /// Controllers the rule is limited to; empty means all.
    package var controllers: [String]
    /// Banks the rule is limited to; empty means all.
    package var banks: [String]

    package init(
        name: String, uids: [UInt32] = [], gids: [UInt32] = [], strangers: [String] = [],
        rights: Set<Right>, controllers: [String] = [], banks: [String] = []
    ) {
        self.name = name
        self.uids = uids
        self.gids = gids
        self.strangers = strangers
        self.rights = rights
        self.controllers = controllers
        self.banks = banks
    }

    /// Whether the rule names nobody at all, and so speaks of everybody.
    package var isForEverybody: Bool { uids.isEmpty && gids.isEmpty && strangers.isEmpty }
}

/// How many coils of one supply may be energised at once, and how far apart pulses start.
package struct SupplyGroup: Sendable, Equatable {
    package var atOnce: Int
    package var gap: Duration

    package init(atOnce: Int, gap: Duration) {
        self.atOnce = atOnce
        self.gap = gap
    }

    /// For controllers that name no group: one lock at a time, 100 ms apart.
    package static let cautious = SupplyGroup(atOnce: 1, gap: .milliseconds(100))
}

/// One link, as `links.d/NAME.toml` says it.
package struct LinkPlan: Sendable, Equatable {
    /// The file's name without `.toml`.
    package var name: String
    /// The module's name, empty where the file does not even say that.
    package var driver: String
    /// The module found for it; `nil` where `problems` says why not.
    package var module: ModulePlan?
    /// The `[link]` table, defaults of the module's schema filled in.
    package var options: JSONObject
    package var controllers: [ControllerPlan]
    /// Why the file cannot be used: `file:line: message`, one each. Not empty means the link is faulted and nothing of it runs.
    package var problems: [String]

    package init(
        name: String, driver: String, module: ModulePlan? = nil,
        options: JSONObject = JSONObject(), controllers: [ControllerPlan] = [],
        problems: [String] = []
    ) {
        self.name = name
        self.driver = driver
        self.module = module
        self.options = options
        self.controllers = controllers
        self.problems = problems
    }
}

/// One controller of a link.
package struct ControllerPlan: Sendable, Equatable {
    package var id: String
    package var bank: String?
    /// Name of the supply group; `nil` means ``SupplyGroup/cautious`` for this controller alone.
    package var supplyGroup: String?
    /// The driver's own keys, defaults filled in.
    package var options: JSONObject
    /// Contents of the board profile, defaults filled in; empty without one.
    package var board: JSONObject
    package var lockers: [LockerPlan]
    /// Pause between two reads of the doors at rest.
    package var poll: Duration
    /// Age beyond which a reading no longer stands for now.
    package var staleAfter: Duration
    /// How long after a pulse the door may take to open before the lock counts as jammed.
    package var doorWait: Duration

    package init(
        id: String, bank: String? = nil, supplyGroup: String? = nil,
        options: JSONObject = JSONObject(), board: JSONObject = JSONObject(),
        lockers: [LockerPlan] = [], poll: Duration = .milliseconds(500),
        staleAfter: Duration = .milliseconds(2000), doorWait: Duration = .milliseconds(3000)
    ) {
        self.id = id
        self.bank = bank
        self.supplyGroup = supplyGroup
        self.options = options
        self.board = board
        self.lockers = lockers
        self.poll = poll
        self.staleAfter = staleAfter
        self.doorWait = doorWait
    }
}

/// One locker.
package struct LockerPlan: Sendable, Equatable {
    /// Site-wide id.
    package var id: Int
    /// Number on its controller, from 1.
    package var number: Int
    /// What is written on the door; the number unless the file says otherwise.
    package var name: String
    package var hasSensor: Bool
    /// Free word from the file: `small`, `screen`.
    package var type: String?
    /// False for compartments that must never open with the rest.
    package var inOpenAll: Bool
    /// Asked pulse; the core caps it at ``Limits/longestPulse``.
    package var pulse: Duration
    package var coil: CoilPlan
    /// Its type never serves, as a compartment that holds the screen: nobody can return it to service.
    package var isAlwaysOutOfService: Bool
    /// The driver's own keys of the `[[controller.locker]]` table.
    package var options: JSONObject

    package init(
        id: Int, number: Int, name: String? = nil, hasSensor: Bool = true, type: String? = nil,
        inOpenAll: Bool = true, pulse: Duration = .milliseconds(200), coil: CoilPlan = CoilPlan(),
        isAlwaysOutOfService: Bool = false, options: JSONObject = JSONObject()
    ) {
        self.id = id
        self.number = number
        self.name = name ?? String(number)
        self.hasSensor = hasSensor
        self.type = type
        self.inOpenAll = inOpenAll
        self.pulse = pulse
        self.coil = coil
        self.isAlwaysOutOfService = isAlwaysOutOfService
        self.options = options
    }
}

/// An installed module, found and read but not yet vetted.
package struct ModulePlan: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        case driver, uplink
    }

    package var name: String
    package var kind: Kind
    /// The folder `NAME/` that holds manifest and executable.
    package var directory: String
    /// File name of the executable inside `directory`; a single path component.
    package var executable: String
    /// Module protocol the manifest says it speaks.
    package var protocolMajor: Int
    package var summary: String
    package var maturity: String
    /// How long an open may take beyond its pulse: devices at the other end of a radio are slower than a board on a wire.
    package var openLimit: Duration

    package init(
        name: String, kind: Kind, directory: String, executable: String, protocolMajor: Int,
        summary: String = "", maturity: String = "experimental",
        openLimit: Duration = .seconds(5)
    ) {
        self.openLimit = openLimit
        self.name = name
        self.kind = kind
        self.directory = directory
        self.executable = executable
        self.protocolMajor = protocolMajor
        self.summary = summary
        self.maturity = maturity
    }
}

/// When beats are sent.
package struct HeartbeatPlan: Sendable, Equatable {
    package var every: Duration

    package init(every: Duration = .seconds(30)) {
        self.every = every
    }
}

/// One `[[uplink]]`.
package struct UplinkPlan: Sendable, Equatable {
    /// Unique name; the module's name unless the file gives one.
    package var name: String
    /// Nil where `problem` says why there is none; then the uplink does not start, and the doors do not care.
    package var module: ModulePlan?
    /// The module's own keys, defaults filled in; files named by them are paths, never contents.
    package var options: JSONObject
    /// Why the uplink cannot be started: `file:line: message`, the first of what is wrong with it.
    package var problem: String?

    package init(
        name: String, module: ModulePlan? = nil, options: JSONObject = JSONObject(),
        problem: String? = nil
    ) {
        self.name = name
        self.module = module
        self.options = options
        self.problem = problem
    }
}

/// Limits that no file and no module can lift.
package enum Limits {
    /// Longest pulse the core asks of any driver. Strikes in the field take 2 to 5 s; a solenoid's coil takes far less.
    package static let longestPulse: Duration = .seconds(5)
    /// Shortest pulse that moves a lock: 10 ms, the low end of what boards accept.
    package static let shortestPulse: Duration = .milliseconds(10)
}
