import JSONLines
import SiteModel

/// The core's own keys of each kind of file; modules add theirs.
enum CoreSchemas {
    // MARK: lockerd.toml

    static let site = Schema([
        "site": .string(.text, required: true),
        "state": .string(.path),
        "module_dirs": .array(of: .string(.path), atLeast: 1).optional,
        "control": .table(control),
        "power": named(
            .table(
                Schema([
                    "at_once": .integer(1...64, required: true),
                    "gap_ms": .integer(0...60_000, required: true),
                ]))),
        "doors": .table(doors),
        "coil": .table(coil),
        "type": named(
            .table(Schema(["always_out_of_service": Rule.boolean.defaulting(to: false)]))),
        "heartbeat": .table(Schema(["every_s": .integer(1...86_400, default: 30)])),
        // Checked one by one: each module has keys of its own.
        "uplink": .tables(Schema(isOpen: true)),
    ])

    /// The defaults are those of `DoorPlan`.
    private static let doors = Schema([
        "late_ms": .integer(0...3_600_000),
        "held_ms": .integer(0...86_400_000),
        "suspect_pulses": .integer(0...1000),
        "suspect_flips": .integer(0...10_000),
        "suspect_window_ms": .integer(1000...3_600_000),
    ])

    /// How much a coil may be used, as the site, a board profile, a controller and a locker may say it. The defaults are those
    /// of `CoilPlan`: one here would hide what a farther table says.
    static let coil = Schema([
        "rest_ms": .integer(0...60_000),
        "opens_per_minute": .integer(1...6000),
        "duty_percent": .integer(1...100),
        "burst_ms": .integer(100...600_000),
    ])

    private static let control = Schema([
        "socket": .string(.path),
        "group": account,
        "max_clients": .integer(1...4096, default: 256),
        "rule": .tables(accessRule),
    ])

    private static let accessRule = Schema([
        "users": .array(of: account),
        "groups": .array(of: account),
        "rights": .array(of: .choice(rights), atLeast: 1),
        "controllers": .array(of: .string(.name)),
        "banks": .array(of: .string(.text)),
    ])

    private static let rights = Right.allCases.map(\.rawValue)

    /// A user's or group's name or number; the highest number means "no change" to the kernel.
    private static let account: Rule = {
        var rule = Rule.string(.text)
        rule.orInteger = true
        rule.minimum = 0
        rule.maximum = Double(UInt32.max - 1)
        return rule
    }()

    static let uplink = Schema([
        "module": .string(.name, required: true),
        "name": .string(.name),
    ])

    // MARK: links.d/NAME.toml

    static func link(_ module: Module?) -> Schema {
        let unknown = Schema(isOpen: true)
        let lockers = locker.merged(with: module?.locker ?? unknown)
        var controllers = controller.merged(with: module?.controller ?? unknown)
        controllers = controllers.merged(with: Schema(["locker": .tables(lockers)]))
        return Schema([
            "driver": .string(.name, required: true),
            "link": .table(module?.link ?? unknown),
            "controller": .tables(controllers, atLeast: 1),
        ])
    }

    private static let pulse =
        milliseconds(Limits.shortestPulse)...milliseconds(Limits.longestPulse)

    private static func milliseconds(_ duration: Duration) -> Int {
        Int(duration / .milliseconds(1))
    }

    static let controller = Schema([
        "id": .string(.name, required: true),
        "board": .string(.name),
        "lockers": .integer(1...ConfigLimits.lockersPerController),
        "first_id": .integer(1...ConfigLimits.highestLockerID, required: true),
        "bank": .string(.text),
        "power": .string(.text),
        "poll_ms": .integer(20...60_000, default: 500),
        "stale_after_ms": .integer(20...3_600_000),
        "door_wait_ms": .integer(0...60_000, default: 3000),
        "pulse_ms": .integer(pulse),
        "sensors": Rule.boolean.defaulting(to: true),
    ]).merged(with: coil)

    static let locker = Schema([
        "number": .integer(1...ConfigLimits.lockersPerController, required: true),
        "id": .integer(1...ConfigLimits.highestLockerID),
        "name": .string(.text),
        "sensor": .boolean,
        "type": .string(.text),
        "open_all": Rule.boolean.defaulting(to: true),
        "pulse_ms": .integer(pulse),
    ]).merged(with: coil)

    // MARK: boards/NAME.toml

    static let board = Schema([
        "summary": Rule(.string),
        "maturity": .choice(["confirmed", "reported", "guessed"]),
        "sources": named(Rule(.string)),
        "doubts": .array(of: Rule(.string)),
        "lockers": .integer(1...ConfigLimits.lockersPerController),
        "pulse_ms": .integer(pulse),
    ]).merged(with: coil)

    // MARK: module.toml

    static let manifest = Schema([
        "name": .string(.name, required: true),
        "kind": .choice(ModulePlan.Kind.allCases.map(\.rawValue), required: true),
        "protocol": .integer(1...1000, required: true),
        "executable": .string(.component, required: true),
        "summary": Rule(.string),
        "maturity": .choice(
            ["broken", "experimental", "beta", "stable"], default: "experimental"),
        "open_limit_s": .integer(5...30, default: 5),
        "options": .table(
            Schema([
                "link": named(Rule(.table)), "controller": named(Rule(.table)),
                "locker": named(Rule(.table)), "board": named(Rule(.table)),
                "uplink": named(Rule(.table)),
            ])),
    ])

    /// What describes one key in a manifest.
    static let option = Schema([
        "type": .choice(Rule.Kind.allCases.map(\.rawValue).filter { $0 != "any" }, required: true),
        "required": .boolean,
        "min": Rule(.number),
        "max": Rule(.number),
        "min_length": .integer(0...65_536),
        "max_length": .integer(0...65_536),
        "form": .choice(Rule.Form.ofManifests.map(\.rawValue)),
        "default": Rule(.any),
        "one_of": .array(of: Rule(.any), atLeast: 1).optional,
        "help": Rule(.string),
        "unique": .boolean,
        "endpoint": .boolean,
        "keys": Rule(.table),
        "items": Rule(.table),
        "when": named(Rule(.any)),
    ])

    /// A table whose names are free and whose values follow one rule.
    private static func named(_ rule: Rule) -> Rule {
        var table = Rule(.table)
        table.contents = .each(rule)
        return table
    }
}

extension Rule {
    var optional: Rule {
        var rule = self
        rule.required = false
        return rule
    }

    func defaulting(to value: JSON) -> Rule {
        var rule = self
        rule.fallback = value
        return rule
    }
}
