import ControlWire
import JSONLines
import LockerCore
import LockerKit
import NIOCore
import SiteModel

/// `service`: a locker's service flags.
enum ServiceMethod {
    static func answer(_ call: Call) async throws(ControlFault) -> HeldResult {
        let params = try call.parameters(
            "locker", "outOfService", "reasonCode", "reason", "brokenLock")
        let selector = LockerSelector(try params.locker("locker"))
        var request = ServiceRequest(
            locker: selector, outOfService: try params.optionalBool("outOfService"),
            reasonCode: try params.optionalString("reasonCode", atMost: call.limits.wordBytes),
            reason: try params.optionalString("reason", atMost: call.limits.reasonBytes),
            brokenLock: try params.optionalBool("brokenLock"), peer: call.grant.peer)
        try call.grant.require(.maintenance, to: "change service flags")
        let locker = try call.locker(selector)
        try call.grant.require(
            .maintenance, to: "change the service flags of \(locker.identity.address)",
            controller: locker.controller, bank: locker.bank)
        // As in `open`: what was checked is what is changed.
        request.locker = .address(locker.identity.address)
        call.log(locker.identity.address)
        let (view, isKept) = try await asking { [request] () async throws(LockerError) in
            try await call.core.setService(request)
        }
        var buffer = ByteBuffer()
        call.server.encoder.writeLocker(view, isKept: isKept, into: &buffer)
        return HeldResult(buffer)
    }
}
