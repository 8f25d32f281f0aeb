import Foundation

/// Where the checkout, its programs and the independent peers are.
package enum Checkout {
    /// The folder that holds Package.swift.
    package static let root: String = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        return url.path
    }()

    /// The folder of the programs built together with this test run.
    package static let programs: String = {
        let executable =
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: executable).deletingLastPathComponent().path
    }()

    /// A program of this package, by product name.
    package static func program(_ name: String) -> String { "\(programs)/\(name)" }

    /// Python of the virtual environment that the Makefile makes, with the pinned peers in it.
    package static let python = "\(root)/.venv/bin/python3"

    /// Nil when the Python peers can be used, otherwise why not. In CI a missing peer is a failure, not a skip.
    package static var whyNoPeers: String? {
        FileManager.default.isExecutableFile(atPath: python)
            ? nil : "no \(python); `make deps` makes it"
    }

    /// A C compiler: the system's, or the one that comes with Swift. In CI a missing one is a failure, not a skip.
    package static let compiler: String? = {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let folders = path.split(separator: ":")
        let found = ["cc", "clang", "gcc"].flatMap { name in folders.map { "\($0)/\(name)" } }
        return found.first { FileManager.default.isExecutableFile(atPath: $0) }
    }()

    /// By how much more memory a process may use than a test would otherwise allow: a sanitizer needs a share of its own.
    package static let memoryFactor =
        ProcessInfo.processInfo.environment["LOCKERD_MEMORY_FACTOR"].flatMap { Int($0) } ?? 1

    package static let isCI = ProcessInfo.processInfo.environment["CI"] == "true"

    /// Lays out module folders as an installation has them, from this build: `DIR/NAME/{module.toml,EXECUTABLE}`.
    package static func stageModules(
        _ names: [String] = [
            "simulator", "modbus", "serial-board", "http", "gpio-expander", "ble-tower",
        ],
        in directory: String
    ) throws {
        let folders = [
            "simulator": "Simulator", "modbus": "Modbus", "serial-board": "SerialBoard",
            "http": "HTTPUplink", "gpio-expander": "GPIOExpander", "ble-tower": "BLETower",
        ]
        for name in names {
            let target = "\(directory)/\(name)"
            try FileManager.default.createDirectory(
                atPath: target, withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o755])
            try FileManager.default.copyItem(
                atPath: "\(root)/Plugins/\(folders[name] ?? name)/module.toml",
                toPath: "\(target)/module.toml")
            try FileManager.default.copyItem(
                atPath: program("\(name)-module"), toPath: "\(target)/\(name)-module")
            if name == "gpio-expander" {
                try FileManager.default.copyItem(
                    atPath: program("coil-guardian"), toPath: "\(target)/coil-guardian")
            }
            let boards = "\(root)/Plugins/\(folders[name] ?? name)/boards"
            if FileManager.default.fileExists(atPath: boards) {
                try FileManager.default.copyItem(atPath: boards, toPath: "\(target)/boards")
            }
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o644], ofItemAtPath: "\(target)/module.toml")
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o755], ofItemAtPath: "\(target)/\(name)-module")
        }
    }
}

/// Runs `body` with a folder of its own below the system's temporary folder, and removes it afterwards.
///
/// The name is short because Unix socket paths end at 107 bytes.
package func withTemporaryDirectory<Result>(
    _ body: (String) async throws -> Result
) async throws -> Result {
    let path = "/tmp/lkd-\(UInt32.random(in: 0...UInt32.max))"
    try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o755])
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
}

/// Writes a text file, making its folder.
package func write(_ text: String, to path: String, mode: Int = 0o644) throws {
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
}

/// A condition that did not come true in time.
package struct Timeout: Error, CustomStringConvertible {
    package let description: String

    package init(description: String) {
        self.description = description
    }
}

/// Waits until `condition` holds; throws a ``Timeout`` naming `what` past the deadline.
package func eventually(
    _ what: String, within limit: Duration = .seconds(20),
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    throw Timeout(description: "not within \(limit): \(what)")
}

/// A TCP port of the loopback that was free a moment ago.
package func freePort() -> Int {
    let handle = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(handle) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    return withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(handle, $0, length) == 0 && getsockname(handle, $0, &length) == 0
        }
    } ? Int(UInt16(bigEndian: address.sin_port)) : 0
}
