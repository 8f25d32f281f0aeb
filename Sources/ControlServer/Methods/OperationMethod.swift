import ControlWire
import JSONLines
import LockerCore
import LockerKit
import NIOCore
import SiteModel

/// `operation`: how far an operation has come.
enum OperationMethod {
    static func answer(_ call: Call) async throws(ControlFault) -> HeldResult {
        let params = try call.parameters("operation")
        let id = try params.string("operation", atMost: call.limits.keyBytes)
        try call.grant.require(.view, to: "see operations")
        let view = try await asking { () async throws(LockerError) in
            try await call.core.operation(id)
        }
        try call.require(.view, over: view, to: "see operation \(id)")
        return HeldResult(view.json)
    }
}

/// `cancel`: keeps what has not fired from firing.
enum CancelMethod {
    static func answer(_ call: Call) async throws(ControlFault) -> HeldResult {
        let params = try call.parameters("operation")
        let id = try params.string("operation", atMost: call.limits.keyBytes)
        guard call.grant.holds(.operate) || call.grant.holds(.openAll) else {
            try call.grant.require(.operate, to: "cancel operations")
            return HeldResult(ByteBuffer())
        }
        let view = try await asking { () async throws(LockerError) in
            try await call.core.operation(id)
        }
        try call.require(
            view.kind == .open ? .operate : .openAll, over: view, to: "cancel operation \(id)")
        call.log(id)
        let found = try await asking { () async throws(LockerError) in
            try await call.core.cancel(id, peer: call.grant.peer)
        }
        return HeldResult(found.json)
    }
}

extension Call {
    /// Throws unless the right is held for every locker of the operation. A locker that is gone since counts for those who
    /// hold the right everywhere.
    fileprivate func require(
        _ right: Right, over operation: OperationView, to verb: String
    ) throws(ControlFault) {
        guard !grant.holdsEverywhere(right) else { return }
        for identity in operation.lockers {
            guard let locker = core.snapshot.locker(.address(identity.address)) else {
                try grant.requireEverywhere(right, to: verb)
                return
            }
            try grant.require(right, to: verb, controller: locker.controller, bank: locker.bank)
        }
    }
}
