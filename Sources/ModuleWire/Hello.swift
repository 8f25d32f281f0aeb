package import JSONLines

/// A version of this protocol. Majors must be equal; of the minors the smaller counts.
package struct ProtocolVersion: Sendable, Equatable {
    package let major: Int
    package let minor: Int

    /// What this code speaks.
    package static let current = ProtocolVersion(
        major: ModuleProtocol.major, minor: ModuleProtocol.minor)

    package init(major: Int, minor: Int) {
        self.major = major
        self.minor = minor
    }

    init(_ fields: Fields) throws(WireError) {
        major = try fields.int("major")
        minor = try fields.int("minor")
    }

    package var json: JSON { ["major": .int(Int64(major)), "minor": .int(Int64(minor))] }
}

/// What the core says first.
package struct HelloParams: Sendable, Equatable {
    package let version: ProtocolVersion
    /// The daemon's name and version, for log lines.
    package let daemon: String
    package let daemonVersion: String
    /// `driver` or `uplink`.
    package let kind: String
    /// The link's or the uplink's name.
    package let name: String
    /// The lowest level of log lines the daemon wants; nil leaves it at `info`.
    package let logLevel: String?

    package init(
        version: ProtocolVersion = .current, daemon: String, daemonVersion: String, kind: String,
        name: String, logLevel: String? = nil
    ) {
        self.version = version
        self.daemon = daemon
        self.daemonVersion = daemonVersion
        self.kind = kind
        self.name = name
        self.logLevel = logLevel
    }

    package init(json: JSON) throws(WireError) {
        let fields = try Fields(json, "params")
        version = try ProtocolVersion(fields.fields("protocol"))
        daemon = try fields.string("daemon")
        daemonVersion = try fields.string("version")
        kind = try fields.string("kind")
        name = try fields.string("name")
        logLevel = try fields.optionalString("logLevel")
    }

    package var json: JSON {
        var object: JSONObject = [
            "protocol": version.json, "daemon": .string(daemon), "version": .string(daemonVersion),
            "kind": .string(kind), "name": .string(name),
        ]
        object["logLevel"] = logLevel.map(JSON.string)
        return .object(object)
    }
}

/// What the module answers to `hello`.
package struct HelloResult: Sendable, Equatable {
    package let version: ProtocolVersion
    /// The module's name and version.
    package let module: String
    package let moduleVersion: String

    package init(version: ProtocolVersion = .current, module: String, moduleVersion: String) {
        self.version = version
        self.module = module
        self.moduleVersion = moduleVersion
    }

    package init(json: JSON) throws(WireError) {
        let fields = try Fields(json, "result")
        version = try ProtocolVersion(fields.fields("protocol"))
        module = try fields.string("module")
        moduleVersion = try fields.string("version")
    }

    package var json: JSON {
        [
            "protocol": version.json, "module": .string(module), "version": .string(moduleVersion),
        ]
    }
}
