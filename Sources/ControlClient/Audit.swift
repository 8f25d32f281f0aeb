package import JSONLines

/// Which entries of the audit; all of them when nothing is named.
public struct AuditQuery: Sendable {
    /// Only entries after this number.
    public var since: Int?
    /// At most this many, 1 to 10,000; nil leaves it to the daemon, which gives 1,000.
    public var limit: Int?
    /// Only entries about this locker.
    public var locker: LockerSelector?

    /// Makes a query; what is named narrows it.
    public init(since: Int? = nil, limit: Int? = nil, locker: LockerSelector? = nil) {
        self.since = since
        self.limit = limit
        self.locker = locker
    }

    var json: JSON {
        var members = JSONObject()
        members["since"] = since.map { .int(Int64($0)) }
        members["limit"] = limit.map { .int(Int64($0)) }
        members["locker"] = locker?.json
        return .object(members)
    }
}

/// A part of the audit, oldest entry first.
public struct AuditPage: Sendable {
    /// The entries.
    public let entries: [AuditEntry]
    /// Number of the oldest entry that is kept.
    public let firstNumber: Int
    /// The hash that the oldest entry names as the one before it.
    public let firstPrevious: String
    /// Number of the newest entry, remembered apart from the entries; 0 before the first.
    public let headNumber: Int
    /// Hash of the newest entry.
    public let headHash: String
    /// The result as the daemon sent it, one line of JSON.
    public let json: String

    package init(_ reply: Reply) throws(ControlError) {
        let fields = try Fields(reply.result, at: "audit")
        let first = try Fields(fields["first"], at: "audit.first")
        firstNumber = try first.integer("n")
        firstPrevious = try first.string("previous")
        let head = try Fields(fields["head"], at: "audit.head")
        headNumber = try head.integer("n")
        headHash = try head.string("hash")
        json = reply.text
        let texts = try Self.entryTexts(reply.text)
        var next = texts.makeIterator()
        entries = try fields.array("entries") { json, place throws(ControlError) in
            try AuditEntry(json, text: next.next() ?? json.text, at: place)
        }
    }

    /// The very bytes of each entry: an export must not depend on how a client would write them.
    private static func entryTexts(_ text: String) throws(ControlError) -> [String] {
        let bytes = Array(text.utf8)
        let found: Result<[String], JSONSyntaxError> = bytes.withUnsafeBytes { line in
            Result { () throws(JSONSyntaxError) in try entryTexts(line) }
        }
        do { return try found.get() } catch { throw .malformed(error.description) }
    }

    private static func entryTexts(
        _ line: UnsafeRawBufferPointer
    ) throws(JSONSyntaxError) -> [String] {
        var reader = JSONReader(line)
        guard try reader.enterObject() else { return [] }
        repeat {
            let name = try reader.rawMemberName()
            guard line[name].elementsEqual("entries".utf8), try reader.peek() == UInt8(ascii: "[")
            else {
                _ = try reader.skipValue()
                continue
            }
            guard try reader.enterArray() else { return [] }
            var texts: [String] = []
            repeat {
                texts.append(String(decoding: line[try reader.skipValue()], as: UTF8.self))
            } while try reader.nextElement()
            return texts
        } while try reader.nextMember()
        return []
    }
}

/// One line of the audit: who did what, when, and what came of it.
public struct AuditEntry: Sendable {
    /// Counted from 1 without gaps.
    public let number: Int
    /// RFC 3339 in UTC by the daemon's clock.
    public let at: String
    /// Whether that clock was synchronised then.
    public let isClockSynchronized: Bool
    /// Names the start of the daemon.
    public let bootID: String
    /// What was done: `open`, `outcome`, `service`, …; the list may grow.
    public let act: String
    /// Who had it done; nil for the daemon itself.
    public let peer: AuditPeer?
    /// The operation it belongs to.
    public let operation: String?
    /// The locker it is about.
    public let locker: LockerName?
    /// How many lockers it is about, of an `open-all`.
    public let lockers: Int?
    /// Idempotency key.
    public let key: String?
    /// Why, as the peer said.
    public let reason: String?
    /// Whether what is out of service was to be opened, too.
    public let isMaintenance: Bool
    /// How an open ended, where it did not end in `fault`.
    public let outcome: Outcome?
    /// What the outcome rests on.
    public let evidence: String?
    /// From the pulse to the door seen open, in milliseconds.
    public let doorMs: Double?
    /// How often the order was given.
    public let attempts: Int?
    /// Why a locker was not opened.
    public let fault: DaemonFault?
    /// Why an `open-all` left a locker alone.
    public let skipped: String?
    /// The flags a `service` left behind.
    public let service: AuditService?
    /// A controller's, link's or version's name.
    public let subject: String?
    /// Hash of the entry before.
    public let previous: String
    /// Hash of this entry.
    public let hash: String
    /// The entry as the daemon sent it, one line of JSON.
    public let json: String
    /// The decoded entry, whose bytes the hash covers.
    package let members: JSONObject

    package init(_ json: JSON, text: String, at place: String) throws(ControlError) {
        let fields = try Fields(json, at: place)
        number = try fields.integer("n")
        at = try fields.string("at")
        act = try fields.string("act")
        previous = try fields.string("previous")
        hash = try fields.string("hash")
        isClockSynchronized = fields["clockSynchronized"]?.boolValue ?? false
        bootID = fields["bootId"]?.stringValue ?? ""
        peer = try fields["peer"].map { peer throws(ControlError) in
            try AuditPeer(peer, at: fields.path("peer"))
        }
        operation = fields["operation"]?.stringValue
        locker = LockerName(fields["locker"])
        lockers = fields["lockers"]?.intValue
        key = fields["key"]?.stringValue
        reason = fields["reason"]?.stringValue
        isMaintenance = fields["maintenance"]?.boolValue ?? false
        outcome = fields["outcome"]?.stringValue.map(Outcome.init(rawValue:))
        evidence = fields["evidence"]?.stringValue
        doorMs = fields["doorMs"]?.doubleValue
        attempts = fields["attempts"]?.intValue
        fault = fields["error"].map(DaemonFault.init)
        skipped = fields["skipped"]?.stringValue
        service = fields["service"].map(AuditService.init)
        subject = fields["subject"]?.stringValue
        self.json = text
        members = json.objectValue ?? JSONObject()
    }
}

/// Who had something done, as the kernel and `/proc` told the daemon then.
public struct AuditPeer: Sendable, Equatable {
    /// User.
    public let uid: Int
    /// Group.
    public let gid: Int
    /// Process.
    public let pid: Int
    /// What the process called itself; it may call itself anything.
    public let process: String?

    init(_ json: JSON, at place: String) throws(ControlError) {
        let fields = try Fields(json, at: place)
        uid = try fields.integer("uid")
        gid = try fields.integer("gid")
        pid = try fields.integer("pid")
        process = fields["process"]?.stringValue
    }
}

/// A locker's service flags as a `service` left them.
public struct AuditService: Sendable, Equatable {
    /// `open` refuses it.
    public let isOutOfService: Bool
    /// The lock fires without its sensor being asked.
    public let hasBrokenLock: Bool
    /// Why it is out of service, for programs.
    public let reasonCode: String?
    /// Why it is out of service, for people.
    public let reason: String?

    init(_ json: JSON) {
        isOutOfService = json["outOfService"]?.boolValue ?? false
        hasBrokenLock = json["brokenLock"]?.boolValue ?? false
        reasonCode = json["reasonCode"]?.stringValue
        reason = json["reason"]?.stringValue
    }
}
