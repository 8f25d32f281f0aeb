import ControlWire
import JSONLines
import LockerCore
import LockerKit
import NIOCore
import SiteModel

/// `restart`: a controller's module, or an uplink's, anew.
enum RestartMethod {
    static func answer(_ call: Call) async throws(ControlFault) -> HeldResult {
        let params = try call.parameters("controller", "uplink")
        if let name = try params.optionalString("uplink", atMost: call.limits.lineBytes) {
            guard !params.has("controller") else {
                throw .invalidParams(
                    "controller and uplink are both given; want one of them", param: "uplink")
            }
            return try await restart(uplink: name, call)
        }
        let id = try params.string("controller", atMost: call.limits.lineBytes)
        try call.grant.require(.maintenance, to: "restart controllers")
        let controllers = call.core.snapshot.read { $0.controllers.map(\.view) }
        guard let view = controllers.first(where: { $0.id == id }) else {
            throw .unknownController(id, among: controllers.map(\.id))
        }
        // The module serves every controller of its link, so all of them go away with it.
        for other in controllers where other.link == view.link {
            try call.grant.require(
                .maintenance,
                to: other.id == id ? "restart \(id)" : "restart \(id), and with it \(other.id)",
                controller: other.id, bank: other.bank)
        }
        call.log(id)
        try await asking { () async throws(LockerError) in
            try await call.core.restart(controller: id, peer: call.grant.peer)
        }
        return HeldResult(["controller": .string(id), "link": .string(view.link)])
    }

    private static func restart(
        uplink name: String, _ call: Call
    ) async throws(ControlFault) -> HeldResult {
        try call.grant.requireEverywhere(.maintenance, to: "restart uplinks")
        call.log("uplink \(name)")
        guard await call.server.restartUplink(name) else {
            let names = call.core.snapshot.read { $0.uplinks.map(\.name) }
            let near = Nearest.word(to: name, among: names)
            throw ControlFault(
                code: LockerError.Code.invalidRequest.rawValue,
                "no uplink \(ControlFault.excerpt(name))"
                    + (near.map { "; did you mean \($0)?" } ?? ""),
                details: near.map { ["nearest": .string($0)] } ?? JSONObject())
        }
        await call.core.noteRestart(uplink: name, by: call.grant.peer)
        return HeldResult(["uplink": .string(name)])
    }
}

/// `reload`: the configuration read again.
enum ReloadMethod {
    static func answer(_ call: Call) async throws(ControlFault) -> HeldResult {
        _ = try call.parameters()
        try call.grant.requireEverywhere(.configure, to: "reload the configuration")
        call.log("asked for")
        let view = try await asking { () async throws(LockerError) in
            try await call.server.reload()
        }
        await call.core.noteReload(by: call.grant.peer)
        return HeldResult(view.json)
    }
}

/// `heartbeat`: a sign of life of an external device on site.
enum HeartbeatMethod {
    static func answer(_ call: Call) async throws(ControlFault) -> HeldResult {
        // Devices send what they have to say; only what is named here is looked at.
        let params = Parameters(open: call.members)
        let id = try params.string("deviceId", atMost: call.limits.wordBytes)
        let state = try params.optionalString("state", atMost: call.limits.wordBytes) ?? "ok"
        try call.grant.requireEverywhere(.maintenance, to: "report for device \(id)")
        try await asking { () async throws(LockerError) in
            try await call.core.noteDevice(id, state: state, peer: call.grant.peer)
        }
        return HeldResult(["deviceId": .string(id), "state": .string(state)])
    }
}

/// `schema`: JSON Schema of params and results.
enum SchemaMethod {
    static func answer(_ call: Call, _ buffer: inout ByteBuffer) throws(ControlFault) {
        let params = try call.parameters("method")
        try call.grant.require(.view, to: "see the schema")
        let name = try params.optionalString("method", atMost: call.limits.lineBytes)
        let method = name.flatMap(ControlMethod.init(rawValue:))
        if let name, method == nil {
            let fault = ControlFault.methodNotFound(name)
            var wrong = ControlFault.invalidParams(fault.message, param: "method")
            wrong.details["nearest"] = fault.details["nearest"]
            throw wrong
        }
        buffer.writeBytes(ControlSchema.document(for: method).encoded)
    }
}
