package import LockerKit

/// Who asks, as the kernel says.
package struct Peer: Sendable, Equatable, Hashable {
    package let uid: UInt32
    package let gid: UInt32
    /// All groups, the primary one included.
    package let groups: [UInt32]
    package let pid: Int32
    /// The process's name when it connected, where it could be read.
    package let process: String?

    package init(
        uid: UInt32, gid: UInt32, groups: [UInt32], pid: Int32, process: String? = nil
    ) {
        self.process = process
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.pid = pid
    }
}

/// An `open`. Rights were checked by whoever made it.
package struct OpenRequest: Sendable {
    package var locker: LockerSelector
    /// Idempotency key.
    package var key: String?
    /// Time from arrival within which the lock must fire.
    package var deadline: Duration?
    package var reason: String?
    package var token: OpenToken?
    /// The locker that was opened last is to be opened once more, by a right that was given for that.
    package var isAgain = false
    /// Opens also what is out of service.
    package var isMaintenance: Bool
    package var peer: Peer
    /// What `deadline` counts from; nil means the moment the core looks at it.
    package var arrivedAt: ContinuousClock.Instant?

    package init(
        locker: LockerSelector, key: String? = nil, deadline: Duration? = nil,
        reason: String? = nil, token: OpenToken? = nil, isMaintenance: Bool = false, peer: Peer,
        arrivedAt: ContinuousClock.Instant? = nil
    ) {
        self.locker = locker
        self.key = key
        self.deadline = deadline
        self.reason = reason
        self.token = token
        self.isMaintenance = isMaintenance
        self.peer = peer
        self.arrivedAt = arrivedAt
    }
}

/// An `open-all`. The scopes narrow each other; none means the whole site.
package struct OpenAllRequest: Sendable {
    package var controller: String?
    package var bank: String?
    package var lockers: [LockerSelector]?
    /// The lockers as the request named them; nil where it named none. A repeated request is told by what was asked for.
    package var asked: [LockerSelector]?
    package var key: String?
    package var deadline: Duration?
    package var reason: String?
    package var includesOutOfService: Bool
    package var peer: Peer
    /// What `deadline` counts from; nil means the moment the core looks at it.
    package var arrivedAt: ContinuousClock.Instant?

    package init(
        controller: String? = nil, bank: String? = nil, lockers: [LockerSelector]? = nil,
        asked: [LockerSelector]?? = nil, key: String? = nil, deadline: Duration? = nil,
        reason: String? = nil, includesOutOfService: Bool = false, peer: Peer,
        arrivedAt: ContinuousClock.Instant? = nil
    ) {
        self.controller = controller
        self.bank = bank
        self.lockers = lockers
        // Not given at all, it is what is to be opened; given as nil, the request named none.
        self.asked = asked ?? lockers
        self.key = key
        self.deadline = deadline
        self.reason = reason
        self.includesOutOfService = includesOutOfService
        self.peer = peer
        self.arrivedAt = arrivedAt
    }
}

/// A change of service flags; nil leaves a flag as it is.
package struct ServiceRequest: Sendable {
    package var locker: LockerSelector
    package var outOfService: Bool?
    package var reasonCode: String?
    package var reason: String?
    package var brokenLock: Bool?
    package var peer: Peer

    package init(
        locker: LockerSelector, outOfService: Bool? = nil, reasonCode: String? = nil,
        reason: String? = nil, brokenLock: Bool? = nil, peer: Peer
    ) {
        self.locker = locker
        self.outOfService = outOfService
        self.reasonCode = reasonCode
        self.reason = reason
        self.brokenLock = brokenLock
        self.peer = peer
    }
}

/// What a reload did, by link name.
package struct ReloadView: Sendable, Equatable {
    package var added: [String] = []
    package var removed: [String] = []
    package var changed: [String] = []
    package var unchanged: [String] = []
    /// Links whose file cannot be used.
    package var faulted: [String] = []
    /// What is wrong in the files, as `file:line: message`, also what keeps no link from serving. Filled in by whoever read them.
    package var problems: [String] = []

    package init() {}
}
