/// Which room may import what. Arrows point one way; the table is the architecture's picture in words.
enum ImportArrows {
    /// Modules of the toolchain, by how far from the machine a room has to stay.
    enum Reach {
        /// Values only.
        case pure
        /// Locks, but no file, socket, process or clock of its own.
        case locks
        /// The operating system, never the whole of Foundation.
        case machine

        var modules: Set<String> {
            switch self {
            case .pure: ["Swift"]
            case .locks: ["Swift", "Synchronization", "Locks"]
            case .machine:
                [
                    "Swift", "Synchronization", "Locks", "Glibc", "Dispatch",
                    "FoundationEssentials",
                ]
            }
        }
    }

    struct Room {
        let reach: Reach
        let imports: Set<String>

        init(_ reach: Reach, _ imports: Set<String>) {
            self.reach = reach
            self.imports = imports
        }

        var allowed: Set<String> { reach.modules.union(imports) }
    }

    /// Folder of each room, with everything it may import.
    static let rooms: [String: Room] = [
        "Sources/JSONLines": Room(.pure, []),
        "Sources/ModuleWire": Room(.pure, ["JSONLines"]),
        "Sources/ControlWire": Room(.pure, ["JSONLines"]),
        "Sources/SiteModel": Room(.pure, ["JSONLines"]),
        "Sources/Locks": Room(.machine, []),
        "Sources/LockerKit": Room(.machine, ["ModuleWire", "JSONLines", "CPosixShim", "Logging"]),
        "Sources/LockerKitTesting": Room(.machine, ["LockerKit", "JSONLines", "Logging"]),
        "Sources/SiteConfig": Room(.machine, ["SiteModel", "JSONLines", "TOMLKit"]),
        "Sources/LockerCore": Room(.locks, ["LockerKit", "SiteModel", "Logging"]),
        // How the core's values look as JSON, for clients and for the journal.
        "Sources/CoreForms": Room(
            .pure, ["LockerCore", "LockerKit", "SiteModel", "JSONLines", "ControlWire"]),
        "Sources/CBORCodec": Room(.pure, []),
        "Sources/TowerLink": Room(
            .pure, ["CBORCodec", "Crypto", "CryptoExtras", "FoundationEssentials"]),
        "Sources/SecretFiles": Room(.machine, ["JSONLines"]),
        "Sources/TowerTokens": Room(.pure, ["CBORCodec", "TowerLink", "JSONLines"]),
        "Sources/AuditChain": Room(.pure, ["JSONLines", "Crypto"]),
        "Sources/Journal": Room(
            .machine,
            [
                "LockerCore", "LockerKit", "SiteModel", "JSONLines", "CoreForms", "AuditChain",
                "CPosixShim", "GRDB", "GRDBSQLite", "Logging",
            ]),
        "Sources/ModuleHost": Room(
            .machine,
            [
                "LockerCore", "LockerKit", "ModuleWire", "SiteModel", "JSONLines", "CPosixShim",
                "Logging", "NIOCore", "NIOPosix",
            ]),
        "Sources/Heartbeat": Room(
            .locks, ["LockerCore", "LockerKit", "SiteModel", "JSONLines", "Logging"]),
        "Sources/ControlServer": Room(
            .machine,
            [
                "ControlWire", "CoreForms", "LockerCore", "LockerKit", "SiteModel", "JSONLines",
                "CPosixShim", "Logging", "NIOCore", "NIOPosix",
            ]),
        "Sources/ControlClient": Room(
            .machine, ["ControlWire", "JSONLines", "NIOCore", "NIOPosix"]),
        // Only this one knows everybody.
        "Sources/lockerd": Room(
            .machine,
            [
                "SiteConfig", "SiteModel", "LockerCore", "LockerKit", "ModuleHost", "Heartbeat",
                "ControlServer", "Journal", "Logging", "NIOCore", "NIOPosix", "ArgumentParser",
                "UnixSignals",
            ]),
        "Sources/lockerctl": Room(
            .machine,
            [
                "ControlClient", "ControlWire", "JSONLines", "AuditChain", "SiteConfig",
                "SiteModel", "TowerLink", "TowerTokens", "SecretFiles",
                "ArgumentParser",
            ]),
        "Plugins/Simulator/Driver": Room(.machine, ["LockerKit"]),
        "Plugins/Simulator/Module": Room(.machine, ["LockerKit", "SimulatorDriver"]),
        "Sources/BusKit": Room(.machine, ["LockerKit"]),
        "Plugins/Modbus/Driver": Room(.machine, ["BusKit", "LockerKit", "JSONLines", "CModbus"]),
        "Plugins/Modbus/Module": Room(.machine, ["LockerKit", "ModbusDriver"]),
        "Plugins/SerialBoard/Driver": Room(.machine, ["BusKit", "LockerKit"]),
        "Plugins/SerialBoard/Module": Room(.machine, ["LockerKit", "SerialBoardDriver"]),
        "Plugins/GPIOExpander/Lines": Room(.machine, ["CGPIO"]),
        "Plugins/GPIOExpander/Guardian": Room(.machine, ["CGPIO", "GPIOLines", "JSONLines"]),
        "Plugins/GPIOExpander/GuardianProgram": Room(.machine, ["CoilGuardian"]),
        "Plugins/GPIOExpander/Driver": Room(
            .machine, ["CoilGuardian", "GPIOLines", "LockerKit", "JSONLines"]),
        "Plugins/GPIOExpander/Module": Room(.machine, ["LockerKit", "GPIODriver"]),
        "Plugins/BLETower/Radio": Room(.machine, ["CBluetooth"]),
        "Plugins/BLETower/Driver": Room(
            .machine,
            [
                "BLERadio", "TowerLink", "TowerTokens", "SecretFiles", "CBORCodec", "LockerKit",
                "JSONLines",
            ]),
        "Plugins/BLETower/Module": Room(.machine, ["LockerKit", "BLETowerDriver"]),
        "Plugins/HTTPUplink/Uplink": Room(
            .machine,
            [
                "LockerKit", "AsyncHTTPClient", "NIOCore", "NIOPosix", "NIOHTTP1", "NIOSSL",
                "Logging",
            ]),
        "Plugins/HTTPUplink/Module": Room(.machine, ["LockerKit", "HTTPUplink"]),
    ]

    /// Imports that no arrow allows, and sources that belong to no room of the table.
    static func findings(in files: [TextFile]) -> [Finding] {
        files.filter(\.isSwift).flatMap { file -> [Finding] in
            guard let (name, room) = rooms.first(where: { file.path.hasPrefix("\($0.key)/") })
            else {
                return [
                    Finding(path: file.path, message: "belongs to no room of the table of arrows")
                ]
            }
            return imports(of: file).filter { !room.allowed.contains($0.module) }.map {
                Finding(
                    path: file.path, line: $0.line,
                    message: "\(name) may not import \($0.module); only \(room.allowed.sorted())")
            }
        }
    }

    /// The modules a source imports, with their lines: also `package import`, `@testable import`, `import struct A.B`.
    static func imports(of file: TextFile) -> [(module: String, line: Int)] {
        let kinds = "typealias|struct|class|enum|protocol|let|var|func|actor"
        guard
            let pattern = try? Regex(
                #"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:\w+\s+)?import\s+(?:(?:\#(kinds))\s+)?(\w+)"#,
                as: (Substring, Substring).self)
        else { return [] }
        var found: [(module: String, line: Int)] = []
        for (index, line) in SwiftText(file.text).lines.enumerated() {
            for statement in line.split(separator: ";") {
                guard let match = try? pattern.firstMatch(in: statement) else { continue }
                found.append((module: String(match.output.1), line: index + 1))
            }
        }
        return found
    }
}
