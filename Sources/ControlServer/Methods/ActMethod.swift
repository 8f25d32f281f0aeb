import ControlWire
import JSONLines
import LockerCore
import LockerKit
import SiteModel

/// `act`: something that a controller's device can do beyond opening.
enum ActMethod {
    /// What a client may ask for; the others are between the core and the device.
    private static let actions: [DeviceAction.Name] = [
        .available, .lastDoor, .relay, .revert, .tap,
    ]

    static func answer(_ call: Call) async throws(ControlFault) -> HeldResult {
        let params = try call.parameters(
            "controller", "action", "locker", "intervalMs", "count", "clientInfo", "payload",
            "payloadAuth")
        let id = try params.string("controller", atMost: call.limits.lineBytes)
        let word = try params.string("action", atMost: call.limits.wordBytes)
        try call.grant.require(.view, to: "ask controllers")
        let controllers = call.core.snapshot.read { $0.controllers.map(\.view) }
        guard let view = controllers.first(where: { $0.id == id }) else {
            throw .unknownController(id, among: controllers.map(\.id))
        }
        guard let name = DeviceAction.Name(rawValue: word), actions.contains(name) else {
            let known = actions.map(\.rawValue).sorted().joined(separator: ", ")
            throw .invalidParams(
                "action is \(ControlFault.excerpt(word)); want one of \(known)", param: "action")
        }
        let right: Right = [.available, .lastDoor].contains(name) ? .view : .maintenance
        try call.grant.require(
            right, to: "ask \(id) for \(word)", controller: view.id, bank: view.bank)
        let action = try action(name, params, call, id)
        call.log("\(id) \(word)")
        let answer = try await asking { () async throws(LockerError) in
            try await call.core.perform(action, controller: id, peer: call.grant.peer)
        }
        return HeldResult(.object(members(of: answer, id, word)))
    }

    private static func action(
        _ name: DeviceAction.Name, _ params: Parameters, _ call: Call, _ id: String
    ) throws(ControlFault) -> DeviceAction {
        switch name {
        case .lastDoor: return .lastDoor(locker: try locker(params, call, id))
        case .relay:
            return .relay(
                SealedParcel(
                    payload: try params.string("payload", atMost: call.limits.lineBytes),
                    payloadAuth: try params.string("payloadAuth", atMost: call.limits.lineBytes)))
        case .revert:
            let info = try params.optionalString("clientInfo", atMost: 500)
            return .revert(locker: try locker(params, call, id), clientInfo: info ?? "")
        case .tap:
            return .tap(
                locker: try locker(params, call, id),
                intervalMilliseconds: try params.optionalInteger(
                    "intervalMs", in: DeviceAction.tapInterval) ?? 500,
                count: try params.optionalInteger("count", in: DeviceAction.tapCount) ?? 2)
        case .available, .log, .forget: return .available
        }
    }

    /// The number of the locker on this controller.
    private static func locker(
        _ params: Parameters, _ call: Call, _ id: String
    ) throws(ControlFault) -> Int {
        let address = try call.locker(LockerSelector(try params.locker("locker"))).identity.address
        guard let slash = address.lastIndex(of: "/"), address[..<slash] == id,
            let number = Int(address[address.index(after: slash)...])
        else { throw .invalidParams("locker \(address) is not on \(id)", param: "locker") }
        return number
    }

    private static func members(
        of answer: DeviceAnswer, _ id: String, _ word: String
    ) -> JSONObject {
        var members: JSONObject = ["controller": .string(id), "action": .string(word)]
        switch answer {
        case .done, .log: break
        case .door(let door): members["door"] = .string(door.rawValue)
        case .available(let types):
            members["available"] = .object(
                JSONObject(
                    types.sorted { $0.key < $1.key }.map {
                        .init(key: String($0.key), value: .int(Int64($0.value)))
                    }))
        }
        return members
    }
}
