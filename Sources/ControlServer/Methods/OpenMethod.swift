import ControlWire
import JSONLines
import LockerCore
import LockerKit
import NIOCore
import SiteModel

/// `open`: fires one lock.
enum OpenMethod {
    static func answer(_ call: Call) async throws(ControlFault) -> HeldResult {
        let params = try call.parameters(
            "locker", "key", "deadlineMs", "waitMs", "reason", "token", "maintenance",
            "again")
        let selector = LockerSelector(try params.locker("locker"))
        let terms = try OperationTerms(params, call.limits)
        let token = try openToken(params, call.limits)
        let isMaintenance = try params.optionalBool("maintenance") ?? false
        let isAgain = try params.optionalBool("again") ?? false
        guard token == nil || !isAgain else {
            throw .invalidParams("again and token are both given; want one of them", param: "again")
        }
        // Whoever may open nothing at all is not told which lockers exist.
        try call.grant.require(.operate, to: "open lockers")
        let locker = try call.locker(selector)
        let address = locker.identity.address
        try call.grant.require(
            .operate, to: "open \(address)", controller: locker.controller, bank: locker.bank)
        if isMaintenance {
            try call.grant.require(
                .maintenance, to: "open \(address) for maintenance",
                controller: locker.controller, bank: locker.bank)
        }
        call.log(address)
        // By the address that was checked: a reload may give the id to another locker meanwhile.
        var request = OpenRequest(
            locker: .address(address), key: terms.key, deadline: terms.deadline,
            reason: terms.reason, token: token, isMaintenance: isMaintenance, peer: call.grant.peer,
            arrivedAt: call.arrivedAt)
        request.isAgain = isAgain
        let wanted = request
        let view = try await asking { () async throws(LockerError) in
            try await call.core.open(wanted, wait: terms.wait)
        }
        if let error = view.failure {
            var fault = ControlFault(error, of: view)
            // The same request would get the same answer: its key is spent.
            if terms.key != nil { fault.isRetryable = false }
            throw fault
        }
        return HeldResult(view.json, operation: view.id)
    }

    /// The token is relayed to the lock unread, and never shown in a message.
    private static func openToken(
        _ params: Parameters, _ limits: ControlLimits
    ) throws(ControlFault) -> OpenToken? {
        guard let members = try params.optionalObject("token") else { return nil }
        let token = try Parameters(members, of: .open, known: ["payload", "payloadAuth"])
        return OpenToken(
            payload: try token.string("payload", atMost: limits.lineBytes),
            payloadAuth: try token.string("payloadAuth", atMost: limits.lineBytes))
    }
}

/// What `open` and `open-all` have in common.
struct OperationTerms {
    let key: String?
    let deadline: Duration?
    let wait: Duration?
    let reason: String?

    init(_ params: Parameters, _ limits: ControlLimits) throws(ControlFault) {
        key = try params.optionalString("key", atMost: limits.keyBytes)
        reason = try params.optionalString("reason", atMost: limits.reasonBytes)
        let range = 0...limits.longestMs
        deadline = try params.optionalInteger("deadlineMs", in: range).map(Duration.milliseconds)
        wait = try params.optionalInteger("waitMs", in: range).map(Duration.milliseconds)
    }
}

extension Call {
    /// The locker as the snapshot knows it.
    func locker(_ selector: LockerSelector) throws(ControlFault) -> LockerView {
        guard let view = core.snapshot.locker(selector) else { throw .unknownLocker(selector) }
        return view
    }
}
