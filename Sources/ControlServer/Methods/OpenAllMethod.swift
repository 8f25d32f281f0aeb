import ControlWire
import JSONLines
import LockerCore
import LockerKit
import NIOCore
import SiteModel

/// `open-all`: fires many locks within what their supplies can take.
enum OpenAllMethod {
    static func answer(_ call: Call) async throws(ControlFault) -> HeldResult {
        let params = try call.parameters(
            "controller", "bank", "lockers", "key", "deadlineMs", "waitMs", "reason",
            "includeOutOfService", "dryRun")
        let scope = StatusEncoder.Selection(
            lockers: try params.optionalLockers("lockers")?.map(LockerSelector.init),
            controller: try params.optionalScope("controller", atMost: call.limits.lineBytes),
            bank: try params.optionalScope("bank", atMost: call.limits.lineBytes))
        let terms = try OperationTerms(params, call.limits)
        let includesOutOfService = try params.optionalBool("includeOutOfService") ?? false
        let isDryRun = try params.optionalBool("dryRun") ?? false
        var wanted: [(right: Right, verb: String)] = [(.openAll, "open all lockers")]
        if includesOutOfService {
            wanted.append((.maintenance, "open lockers that are out of service"))
        }
        let lockers = try check(call, scope, wanted)
        let request = OpenAllRequest(
            controller: scope.controller, bank: scope.bank, lockers: lockers,
            asked: .some(scope.lockers),
            key: terms.key, deadline: terms.deadline, reason: terms.reason,
            includesOutOfService: includesOutOfService, peer: call.grant.peer,
            arrivedAt: call.arrivedAt)
        if isDryRun {
            let plan = try await asking { () async throws(LockerError) in
                try await call.core.planOpenAll(request)
            }
            return HeldResult(plan.json)
        }
        call.log("accepted for the core")
        let progress = call.progress
        let view = try await asking { () async throws(LockerError) in
            try await call.core.openAll(request, wait: terms.wait) { progress($0.json) }
        }
        return HeldResult(view.json, operation: view.id)
    }

    /// The rights must be held for every locker of the scope: a part of it is never opened instead of the whole.
    ///
    /// Returns what the core shall open: for a peer whose rights are limited exactly the lockers that were checked, by address,
    /// so that a reload in between adds none.
    private static func check(
        _ call: Call, _ scope: StatusEncoder.Selection, _ wanted: [(right: Right, verb: String)]
    ) throws(ControlFault) -> [LockerSelector]? {
        for (right, verb) in wanted { try call.grant.require(right, to: verb) }
        let isLimited = !wanted.allSatisfy { call.grant.holdsEverywhere($0.right) }
        let checked: Result<[LockerSelector]?, ControlFault> = call.core.snapshot.read { contents in
            do throws(ControlFault) {
                try contents.checkScope(controller: scope.controller, bank: scope.bank)
                let found = try scope.indices(in: contents)
                guard isLimited else { return .success(scope.lockers) }
                for (right, verb) in wanted {
                    for index in found {
                        let view = contents.lockers[index].view
                        try call.grant.require(
                            right, to: "\(verb), \(view.identity.address) among them",
                            controller: view.controller, bank: view.bank)
                    }
                }
                return .success(found.map { .address(contents.lockers[$0].view.identity.address) })
            } catch {
                return .failure(error)
            }
        }
        return try checked.get()
    }
}
