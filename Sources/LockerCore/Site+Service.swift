package import LockerKit
import SiteModel

extension Site {
    /// Sets a locker's service flags. Coming back to service clears code and reason unless they are given.
    ///
    /// Returns once the flags are kept, with whether they are on a disk. Throws `CONFLICT` where the locker's type never serves.
    package func setService(
        _ request: ServiceRequest
    ) async throws(LockerError) -> (locker: LockerView, isKept: Bool) {
        guard let view = snapshot.locker(request.locker) else { throw .unknown(request.locker) }
        if view.isAlwaysOutOfService, request.outOfService == false {
            throw LockerError(
                .conflict,
                "locker \(view.identity.address) is of type \(view.type ?? ""), which is always out of service"
            )
        }
        var service = view.service
        if let outOfService = request.outOfService {
            service.outOfService = outOfService
            if !outOfService {
                service.reasonCode = nil
                service.reason = nil
            }
        }
        if let code = request.reasonCode { service.reasonCode = code }
        if let reason = request.reason { service.reason = reason }
        if let brokenLock = request.brokenLock { service.brokenLock = brokenLock }
        guard service != view.service else {
            return (view, await keepEarlierService())
        }
        // The snapshot before the event: a status that names its number must show what it says.
        let changed =
            snapshot.update(locker: view.identity.address) { $0.service = service } ?? view
        return (changed, await keepService(changed, by: request.peer))
    }
}

extension JournalState: CustomStringConvertible {
    package var description: String {
        switch self {
        case .durable: "kept on disk"
        case .memory: "in memory only: nothing survives the end of the daemon"
        case .broken(let reason): "broken: \(reason)"
        }
    }
}
