import JSONLines

/// How to name a locker: `controller/number`, or its site-wide number.
public struct LockerSelector: Sendable, Hashable, CustomStringConvertible {
    /// The name as it was given.
    public let description: String

    /// Takes an address such as `wall/3`, or digits for a site-wide number.
    public init(_ name: String) { description = name }

    var json: JSON {
        Int64(description).map(JSON.int) ?? .string(description)
    }
}

/// Which part of the site a `status` is about; everything when nothing is named.
public struct StatusScope: Sendable {
    /// Only these; empty for all.
    public var lockers: [LockerSelector]
    /// Only lockers of this controller.
    public var controller: String?
    /// Only lockers of this bank.
    public var bank: String?

    /// Makes a scope; what is named narrows it.
    public init(lockers: [LockerSelector] = [], controller: String? = nil, bank: String? = nil) {
        self.lockers = lockers
        self.controller = controller
        self.bank = bank
    }

    var json: JSON {
        var members = JSONObject()
        if !lockers.isEmpty { members["lockers"] = .array(lockers.map(\.json)) }
        members["controller"] = controller.map(JSON.string)
        members["bank"] = bank.map(JSON.string)
        return .object(members)
    }
}

/// What `open` and `open-all` have in common.
public struct OpenTerms: Sendable {
    /// Idempotency key: the same key with the same parameters gets the first result again and fires nothing.
    public var key: String?
    /// Milliseconds from arrival within which the lock must fire.
    public var deadlineMs: Int?
    /// Milliseconds for which the reply may be held back; nil holds it until all is done.
    public var waitMs: Int?
    /// For the audit.
    public var reason: String?

    /// Makes the terms; none are needed.
    public init(
        key: String? = nil, deadlineMs: Int? = nil, waitMs: Int? = nil, reason: String? = nil
    ) {
        self.key = key
        self.deadlineMs = deadlineMs
        self.waitMs = waitMs
        self.reason = reason
    }

    func add(to members: inout JSONObject) {
        members["key"] = key.map(JSON.string)
        members["deadlineMs"] = deadlineMs.map { .int(Int64($0)) }
        members["waitMs"] = waitMs.map { .int(Int64($0)) }
        members["reason"] = reason.map(JSON.string)
    }
}

/// An `open`.
public struct OpenCommand: Sendable {
    /// Which locker.
    public var locker: LockerSelector
    /// Key, deadline, patience and reason.
    public var terms: OpenTerms
    /// Opens also what is out of service, where the peer may.
    public var isMaintenance: Bool
    /// A token that the lock itself checks.
    public var token: Token?
    /// Opens the locker that was opened last once more, by the right that was given for the first time.
    public var isAgain = false

    /// A token with its authentication, as the back end issued them.
    public struct Token: Sendable {
        /// What the token says.
        public var payload: String
        /// What proves it.
        public var payloadAuth: String

        /// Makes a token; neither part is looked into.
        public init(payload: String, payloadAuth: String) {
            self.payload = payload
            self.payloadAuth = payloadAuth
        }
    }

    /// Makes a command.
    public init(
        _ locker: LockerSelector, terms: OpenTerms = OpenTerms(), isMaintenance: Bool = false,
        token: Token? = nil
    ) {
        self.locker = locker
        self.terms = terms
        self.isMaintenance = isMaintenance
        self.token = token
    }

    var json: JSON {
        var members = JSONObject()
        members["locker"] = locker.json
        terms.add(to: &members)
        if isMaintenance { members["maintenance"] = true }
        if isAgain { members["again"] = true }
        members["token"] = token.map {
            ["payload": .string($0.payload), "payloadAuth": .string($0.payloadAuth)]
        }
        return .object(members)
    }
}

/// An `open-all`: the whole site, or what its scopes leave.
public struct OpenAllCommand: Sendable {
    /// Only lockers of this controller.
    public var controller: String?
    /// Only lockers of this bank.
    public var bank: String?
    /// Only these; empty for all.
    public var lockers: [LockerSelector]
    /// Key, deadline, patience and reason.
    public var terms: OpenTerms
    /// Opens also what is out of service, where the peer may.
    public var includesOutOfService: Bool

    /// Makes a command.
    public init(
        controller: String? = nil, bank: String? = nil, lockers: [LockerSelector] = [],
        terms: OpenTerms = OpenTerms(), includesOutOfService: Bool = false
    ) {
        self.controller = controller
        self.bank = bank
        self.lockers = lockers
        self.terms = terms
        self.includesOutOfService = includesOutOfService
    }

    var json: JSON {
        var members = JSONObject()
        members["controller"] = controller.map(JSON.string)
        members["bank"] = bank.map(JSON.string)
        if !lockers.isEmpty { members["lockers"] = .array(lockers.map(\.json)) }
        terms.add(to: &members)
        if includesOutOfService { members["includeOutOfService"] = true }
        return .object(members)
    }

    /// The same scope, to be planned and not to be done: without the key, which only what is done uses up.
    var planJSON: JSON {
        var command = self
        command.terms = OpenTerms()
        var members = command.json.objectValue ?? JSONObject()
        members["dryRun"] = true
        return .object(members)
    }
}

/// A change of a locker's service flags; nil leaves a flag as it is.
public struct ServiceCommand: Sendable {
    /// Which locker.
    public var locker: LockerSelector
    /// True takes it out of service, false puts it back.
    public var isOutOfService: Bool?
    /// Why it is out of service, for programs.
    public var reasonCode: String?
    /// Why it is out of service, for people.
    public var reason: String?
    /// True has the lock fired without its sensor being asked.
    public var hasBrokenLock: Bool?

    /// Makes a command.
    public init(
        _ locker: LockerSelector, isOutOfService: Bool? = nil, reasonCode: String? = nil,
        reason: String? = nil, hasBrokenLock: Bool? = nil
    ) {
        self.locker = locker
        self.isOutOfService = isOutOfService
        self.reasonCode = reasonCode
        self.reason = reason
        self.hasBrokenLock = hasBrokenLock
    }

    var json: JSON {
        var members = JSONObject()
        members["locker"] = locker.json
        members["outOfService"] = isOutOfService.map(JSON.bool)
        members["reasonCode"] = reasonCode.map(JSON.string)
        members["reason"] = reason.map(JSON.string)
        members["brokenLock"] = hasBrokenLock.map(JSON.bool)
        return .object(members)
    }
}
