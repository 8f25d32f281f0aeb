// swift-tools-version: 6.3
import PackageDescription

// Warnings are errors wherever the project itself is checked (CI, `make test`); a stranger with a newer
// compiler must still be able to build.
let strict =
    Context.environment["CI"] == "true" || Context.environment["LOCKERD_STRICT"] == "1"

let swiftSettings: [SwiftSetting] =
    [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ] + (strict ? [.treatAllWarnings(as: .error)] : [])

let cSettings: [CSetting] = strict ? [.treatAllWarnings(as: .error)] : []

/// Rooms of values have nothing to lock; all others get `Locks`.
let valueRooms: Set<String> = [
    "JSONLines", "ModuleWire", "ControlWire", "SiteModel", "CBORCodec", "TowerLink", "TowerTokens",
]

func room(_ name: String, _ dependencies: [Target.Dependency] = [], path: String? = nil) -> Target {
    .target(
        name: name, dependencies: dependencies + (valueRooms.contains(name) ? [] : ["Locks"]),
        path: path, swiftSettings: swiftSettings)
}

func program(_ name: String, _ dependencies: [Target.Dependency], path: String? = nil) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies + ["Locks"], path: path,
        swiftSettings: swiftSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], path: String? = nil) -> Target {
    .testTarget(
        name: name, dependencies: dependencies + ["Locks"], path: path,
        swiftSettings: swiftSettings)
}

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let arguments: Target.Dependency = .product(
    name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "lockerd",
    products: [
        .executable(name: "lockerd", targets: ["lockerd"]),
        .executable(name: "lockerctl", targets: ["lockerctl"]),
        .executable(name: "simulator-module", targets: ["simulator-module"]),
        .executable(name: "modbus-module", targets: ["modbus-module"]),
        .executable(name: "serial-board-module", targets: ["serial-board-module"]),
        .executable(name: "gpio-expander-module", targets: ["gpio-expander-module"]),
        .executable(name: "ble-tower-module", targets: ["ble-tower-module"]),
        .executable(name: "coil-guardian", targets: ["coil-guardian"]),
        .executable(name: "http-module", targets: ["http-module"]),
        .library(name: "LockerKit", targets: ["LockerKit"]),
        .library(name: "LockerKitTesting", targets: ["LockerKitTesting"]),
        .library(name: "ControlClient", targets: ["ControlClient"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
        .package(
            url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
        .package(url: "https://github.com/LebJe/TOMLKit.git", from: "0.6.0"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.30.0"),
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.0"),
    ],
    targets: [
        // Pure rooms: no file, socket, process or clock.
        room("JSONLines"),
        room("ModuleWire", ["JSONLines"]),
        room("ControlWire", ["JSONLines"]),
        room("SiteModel", ["JSONLines"]),

        .target(name: "Locks", swiftSettings: swiftSettings),

        // What a driver author sees.
        .target(name: "CPosixShim", cSettings: cSettings),
        room("LockerKit", ["ModuleWire", "JSONLines", "CPosixShim", logging]),
        room("LockerKitTesting", ["LockerKit", "JSONLines", logging]),

        // The core's rooms.
        room(
            "SiteConfig", ["SiteModel", "JSONLines", .product(name: "TOMLKit", package: "TOMLKit")]),
        room("LockerCore", ["LockerKit", "SiteModel", "JSONLines", logging]),
        room(
            "ModuleHost",
            [
                "LockerCore", "LockerKit", "ModuleWire", "SiteModel", "JSONLines", "CPosixShim",
                logging,
                nioCore, nioPosix,
            ]),
        room("CoreForms", ["ControlWire", "LockerCore", "LockerKit", "SiteModel", "JSONLines"]),
        room(
            "Journal",
            [
                "CoreForms", "LockerCore", "LockerKit", "SiteModel", "JSONLines", "CPosixShim",
                "AuditChain", logging, .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ]),
        // Strict deterministic CBOR, the language of towers.
        room("CBORCodec"),
        // The tower link, pure: numbers, packets, sessions (docs/tower-link.md).
        room(
            "TowerLink",
            [
                "CBORCodec", .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
            ]),
        // Makes and verifies the tokens that towers take.
        room("SecretFiles", ["JSONLines"]),
        room("TowerTokens", ["CBORCodec", "TowerLink", "JSONLines"]),
        room("AuditChain", ["JSONLines", .product(name: "Crypto", package: "swift-crypto")]),
        room("Heartbeat", ["LockerCore", "LockerKit", "SiteModel", "JSONLines", logging]),
        room(
            "ControlServer",
            [
                "ControlWire", "CoreForms", "LockerCore", "LockerKit", "SiteModel", "JSONLines",
                "CPosixShim",
                logging, nioCore, nioPosix,
            ]),
        room("ControlClient", ["ControlWire", "JSONLines", nioCore, nioPosix]),

        // Programs.
        program(
            "lockerd",
            [
                "SiteConfig", "SiteModel", "LockerCore", "LockerKit", "ModuleHost", "Heartbeat",
                "ControlServer", "Journal", logging, arguments, nioCore, nioPosix,
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]),
        program(
            "lockerctl",
            [
                "ControlClient", "ControlWire", "JSONLines", "AuditChain", "SiteConfig",
                "SiteModel", "TowerLink", "TowerTokens", "SecretFiles",
                arguments,
            ]),

        // Modules: a library target that tests can link and a thin executable.
        room("SimulatorDriver", ["LockerKit"], path: "Plugins/Simulator/Driver"),
        program(
            "simulator-module", ["SimulatorDriver", "LockerKit"], path: "Plugins/Simulator/Module"),
        .systemLibrary(
            name: "CModbus", path: "Plugins/Modbus/CModbus", pkgConfig: "libmodbus",
            providers: [.apt(["libmodbus-dev"])]),
        room("BusKit", ["LockerKit"]),
        room(
            "ModbusDriver", ["BusKit", "LockerKit", "JSONLines", "CModbus"],
            path: "Plugins/Modbus/Driver"),
        program("modbus-module", ["ModbusDriver", "LockerKit"], path: "Plugins/Modbus/Module"),
        room(
            "SerialBoardDriver", ["BusKit", "LockerKit"], path: "Plugins/SerialBoard/Driver"),
        program(
            "serial-board-module", ["SerialBoardDriver", "LockerKit"],
            path: "Plugins/SerialBoard/Module"),
        .systemLibrary(
            name: "CGPIOD", path: "Plugins/GPIOExpander/CGPIOD", pkgConfig: "libgpiod",
            providers: [.apt(["libgpiod-dev"])]),
        .target(
            name: "CGPIO", dependencies: ["CGPIOD"], path: "Plugins/GPIOExpander/CGPIO",
            cSettings: cSettings),
        room("GPIOLines", ["CGPIO"], path: "Plugins/GPIOExpander/Lines"),
        // The second process: it switches coils on and off for the driver, and off when the driver is gone.
        room(
            "CoilGuardian", ["GPIOLines", "JSONLines", "CGPIO"],
            path: "Plugins/GPIOExpander/Guardian"),
        program(
            "coil-guardian", ["CoilGuardian"], path: "Plugins/GPIOExpander/GuardianProgram"),
        room(
            "GPIODriver", ["CoilGuardian", "GPIOLines", "LockerKit", "JSONLines"],
            path: "Plugins/GPIOExpander/Driver"),
        program(
            "gpio-expander-module", ["GPIODriver", "LockerKit"],
            path: "Plugins/GPIOExpander/Module"),
        // The headers of libbluetooth (Debian: libbluetooth-dev), and nothing of the library.
        .target(name: "CBluetooth", path: "Plugins/BLETower/CBluetooth", cSettings: cSettings),
        room("BLERadio", ["CBluetooth"], path: "Plugins/BLETower/Radio"),
        room(
            "BLETowerDriver",
            [
                "BLERadio", "TowerLink", "TowerTokens", "SecretFiles", "CBORCodec", "LockerKit",
                "JSONLines",
            ],
            path: "Plugins/BLETower/Driver"),
        program(
            "ble-tower-module", ["BLETowerDriver", "LockerKit"], path: "Plugins/BLETower/Module"),
        room(
            "HTTPUplink",
            [
                "LockerKit", .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOHTTP1", package: "swift-nio"), nioCore, nioPosix, logging,
            ],
            path: "Plugins/HTTPUplink/Uplink"),
        program("http-module", ["HTTPUplink", "LockerKit"], path: "Plugins/HTTPUplink/Module"),

        // Tests. `TestSupport` finds the checkout, its programs and the independent peers.
        room("TestSupport", ["JSONLines"], path: "Tests/Support"),
        // A link as the daemon would read it, for the tests of drivers.
        room(
            "DriverBench", ["LockerKit", "SiteConfig", "SiteModel", "TestSupport"],
            path: "Tests/DriverBench"),
        tests("JSONLinesTests", ["JSONLines", "SiteModel", "TestSupport"]),
        tests(
            "TowerTests",
            ["CBORCodec", "TowerLink", "TowerTokens", "JSONLines", "TestSupport"]),
        tests(
            "LockerKitTests",
            ["LockerKit", "LockerKitTesting", "ModuleWire", "JSONLines", "TestSupport", logging]),
        tests("SiteConfigTests", ["SiteConfig", "SiteModel", "JSONLines", "TestSupport"]),
        tests(
            "LockerCoreTests",
            ["LockerCore", "LockerKit", "LockerKitTesting", "SiteModel", "TestSupport", logging]),
        // A disk that fails on command, as a file layer of SQLite.
        .target(
            name: "FaultyDisk", dependencies: [.product(name: "GRDBSQLite", package: "GRDB.swift")],
            path: "Tests/FaultyDisk", cSettings: cSettings),
        tests(
            "JournalTests",
            [
                "FaultyDisk", "Journal", "CoreForms", "AuditChain", "LockerCore", "LockerKit",
                "SiteModel",
                "JSONLines", "TestSupport", logging,
                .product(name: "GRDB", package: "GRDB.swift"),
            ]),
        tests(
            "ModuleHostTests",
            [
                "ModuleHost", "LockerCore", "LockerKit", "LockerKitTesting", "ModuleWire",
                "SiteModel", "JSONLines", "TestSupport", logging,
            ]),
        tests(
            "ControlTests",
            [
                "ControlServer", "ControlClient", "ControlWire", "LockerCore", "LockerKit",
                "LockerKitTesting", "SiteModel", "JSONLines", "TestSupport", logging, nioCore,
                nioPosix,
            ]),
        tests("LockerctlTests", ["ControlClient", "JSONLines", "TestSupport"]),
        tests(
            "HeartbeatTests",
            [
                "Heartbeat", "LockerCore", "LockerKit", "LockerKitTesting", "SiteModel",
                "JSONLines", "TestSupport", logging,
            ]),
        tests(
            "SimulatorTests",
            ["SimulatorDriver", "LockerKit", "LockerKitTesting", "JSONLines", logging]),
        tests(
            "ModbusTests",
            [
                "BusKit", "DriverBench", "ModbusDriver", "LockerKit", "LockerKitTesting",
                "JSONLines", "TestSupport", logging,
            ]),
        tests(
            "SerialBoardTests",
            [
                "BusKit", "DriverBench", "SerialBoardDriver", "LockerKit", "LockerKitTesting",
                "JSONLines", "TestSupport", logging,
            ]),
        tests(
            "HTTPUplinkTests",
            ["HTTPUplink", "LockerKit", "LockerKitTesting", "JSONLines", "TestSupport", logging]),
        tests(
            "BLETests",
            [
                "BLERadio", "BLETowerDriver", "CBORCodec", "DriverBench", "LockerKit", "TowerLink",
                "TowerTokens", "TestSupport",
            ]),
        tests(
            "GPIOTests",
            [
                "CoilGuardian", "DriverBench", "GPIODriver", "GPIOLines", "LockerKit",
                "LockerKitTesting", "JSONLines", "TestSupport", logging,
            ]),
        // Runs in the guest, where there are chips: the driver against what every driver has to keep.
        program(
            "gpio-checklist",
            ["GPIODriver", "JSONLines", "LockerKit", "LockerKitTesting", logging],
            path: "Tests/GPIOChecklist"),
        tests(
            "GuestTests",
            [
                "TestSupport", "lockerd", "lockerctl", "gpio-expander-module", "coil-guardian",
                "ble-tower-module",
                "simulator-module", "modbus-module", "serial-board-module", "http-module",
                "gpio-checklist",
            ]),
        tests("TidyTests", ["ControlWire", "LockerKit", "ModuleWire", "TestSupport"]),
        tests(
            "DaemonTests",
            [
                "ControlClient", "JSONLines", "TestSupport", "lockerd", "lockerctl",
                "simulator-module", "modbus-module", "serial-board-module", "http-module",
                "gpio-expander-module", "coil-guardian", "ble-tower-module",
            ]),
    ],
    swiftLanguageModes: [.v6]
)
