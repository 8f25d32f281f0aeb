import ControlWire
import Glibc
import LockerCore
import LockerKit
import Locks
import Logging
import NIOCore
import SiteModel

import struct Synchronization.Atomic

/// What all connections of one server share.
final class ServerContext: Sendable {
    let core: any ControlCore
    let encoder: StatusEncoder
    let reload: @Sendable () async throws(LockerError) -> ReloadView
    let restartUplink: @Sendable (String) async -> Bool
    let logger: Logger
    let limits: ControlLimits
    let daemonVersion: String
    let clock: any MonotonicClock
    let wallClock: @Sendable () -> WallTime

    private let owners: Set<UInt32>
    private let policy: Mutex<AccessPolicy>
    private let generation = Atomic<Int>(0)
    private let clients: Mutex<Clients>

    private struct Clients {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var maximum: Int
        var modules: Int
        var isStopping = false
    }

    init(
        core: any ControlCore, plan: ControlPlan, modules: Int, version: String,
        reload: @escaping @Sendable () async throws(LockerError) -> ReloadView,
        restartUplink: @escaping @Sendable (String) async -> Bool, logger: Logger,
        clock: any MonotonicClock, wallClock: @escaping @Sendable () -> WallTime,
        limits: ControlLimits, owners: Set<UInt32>
    ) {
        self.core = core
        self.reload = reload
        self.restartUplink = restartUplink
        self.logger = logger
        self.limits = limits
        self.owners = owners
        self.clock = clock
        self.wallClock = wallClock
        daemonVersion = version
        encoder = StatusEncoder(core: core, clock: clock, wallClock: wallClock)
        policy = Mutex(AccessPolicy(rules: plan.rules, owners: owners))
        clients = Mutex(Clients(maximum: plan.maximumClients, modules: modules))
    }

    // MARK: Rights

    /// Grows with every change of the rules: a grant of an older generation must be asked for again.
    var policyGeneration: Int { generation.load(ordering: .acquiring) }

    func grant(to peer: Peer) -> Grant { policy.withLock { $0 }.grant(to: peer) }

    func adopt(_ plan: ControlPlan, modules: Int) {
        policy.withLock { $0 = AccessPolicy(rules: plan.rules, owners: owners) }
        clients.withLock { clients in
            clients.maximum = plan.maximumClients
            clients.modules = modules
        }
        generation.add(1, ordering: .releasing)
    }

    // MARK: Clients

    enum Admission {
        case admitted
        case full(limit: Int)
        /// The process may have that many handles, and is near it.
        case noHandles(limit: Int)
        case stopping
    }

    /// Connections beyond the limit, and file handles, that are kept for those who need no rule: whoever has to set things right
    /// gets in also when others hold every place.
    static let ownersReserve = 8

    /// - Parameter handle: the connection's.
    func admit(_ channel: any Channel, _ peer: Peer, handle: Int32) -> Admission {
        // A new handle has the lowest free number: with this one, all below are taken.
        let handles = Self.handleLimit()
        let isOwner = owners.contains(peer.uid)
        return clients.withLock { clients in
            if clients.isStopping { return .stopping }
            let spare =
                limits.spareHandles + limits.handlesPerModule * clients.modules
                + (isOwner ? 0 : Self.ownersReserve)
            if Int(handle) >= handles - spare { return .noHandles(limit: handles) }
            let limit = clients.maximum + (isOwner ? Self.ownersReserve : 0)
            guard clients.channels.count < limit else { return .full(limit: clients.maximum) }
            clients.channels[ObjectIdentifier(channel)] = channel
            return .admitted
        }
    }

    /// How many handles the process may have at the moment.
    private static func handleLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return .max
        }
        return Int(clamping: limit.rlim_cur)
    }

    func forget(_ channel: any Channel) {
        clients.withLock { _ = $0.channels.removeValue(forKey: ObjectIdentifier(channel)) }
    }

    var clientCount: Int { clients.withLock { $0.channels.count } }

    /// Admits nobody any more; returns those who are connected.
    func beginStopping() -> [any Channel] {
        clients.withLock { clients in
            clients.isStopping = true
            return Array(clients.channels.values)
        }
    }
}
