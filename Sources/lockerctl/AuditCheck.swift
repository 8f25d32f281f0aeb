import AuditChain
import ControlClient

/// Follows the chain of an audit entry by entry and keeps the first thing that is wrong with it.
///
/// What a chain can prove: that nothing between two entries was edited, removed, put in or moved. Whether the end is missing
/// only the journal's head can tell, and the beginning only what the journal gave up by age.
struct AuditCheck {
    private(set) var count = 0
    /// The newest entry that was followed.
    private(set) var last: (number: Int, hash: String)?
    /// Number of the first entry that was followed.
    private(set) var begin: Int?
    /// One clause; nil while all is well.
    private(set) var problem: String?

    /// What the next entry has to be where none stands before it; nil where anything goes.
    private var anchor: (number: Int, previous: String)?
    /// Numbers that were passed over. They are missing, unless they turn up later: then the order is wrong.
    private var gap: ClosedRange<Int>?
    private var isGapAtBegin = false

    /// Says where the audit begins. Said again when it has moved: entries that nobody has seen yet were given up by age
    /// meanwhile, and the chain goes on behind them.
    mutating func expect(first number: Int, previous: String) {
        if let last, number <= last.number &+ 1 { return }
        anchor = (number, previous)
        last = nil
    }

    mutating func add(_ entry: AuditEntry) {
        guard problem == nil else { return }
        count += 1
        if let gap {
            if gap.contains(entry.number) {
                problem =
                    "entry \(entry.number) stands after a later one: the entries are out of order"
            }
            return
        }
        guard AuditChain.hash(of: entry.members) == entry.hash else {
            problem = "entry \(entry.number) was edited: its content has not the hash that it names"
            return
        }
        if let last {
            // An export may hold any number that there is.
            follow(entry, number: last.number &+ 1, hash: last.hash)
        } else {
            start(with: entry)
        }
        last = (entry.number, entry.hash)
        begin = begin ?? entry.number
    }

    private mutating func follow(_ entry: AuditEntry, number: Int, hash: String) {
        if entry.number == number - 1 {
            problem = "entry \(entry.number) is there twice"
        } else if entry.number < number {
            problem =
                "entry \(entry.number) stands after entry \(number - 1): the entries are out of order"
        } else if entry.number > number {
            gap = number...entry.number - 1
        } else if entry.previous != hash {
            problem =
                "entry \(number - 1) was replaced: entry \(number) names another hash as the one before it"
        }
    }

    private mutating func start(with entry: AuditEntry) {
        // The very first entry has nothing before it, whoever says where the audit begins.
        let isVeryFirst = anchor == nil && entry.number == 1
        guard let anchor = isVeryFirst ? (1, AuditChain.genesis) : anchor else { return }
        if entry.number < anchor.number {
            problem =
                "entry \(entry.number) stands before entry \(anchor.number), with which the audit begins"
        } else if entry.number > anchor.number {
            gap = anchor.number...entry.number - 1
            isGapAtBegin = true
        } else if entry.previous != anchor.previous {
            problem =
                "entry \(entry.number) names another hash as the one before it than the journal does"
        }
    }

    /// Nothing more comes. `head` is the newest entry as the journal remembers it, nil where nobody can say.
    mutating func end(head: (number: Int, hash: String)?) {
        guard problem == nil else { return }
        if let gap {
            let place = isGapAtBegin ? "at the beginning" : "after entry \(gap.lowerBound - 1)"
            problem = "\(Self.missing(gap)) missing \(place)"
            return
        }
        guard let head else { return }
        let newest = last?.number ?? (anchor?.number ?? 1) - 1
        if newest < head.number {
            problem = "\(Self.missing(newest + 1...head.number)) missing at the end"
        } else if newest > head.number {
            problem =
                "entry \(newest) lies beyond entry \(head.number), the newest that the journal knows of"
        } else if newest > 0, (last?.hash ?? anchor?.previous) != head.hash {
            problem =
                "entry \(newest) was replaced: the journal remembers another hash for its newest"
        }
    }

    private static func missing(_ numbers: ClosedRange<Int>) -> String {
        numbers.count == 1
            ? "entry \(numbers.lowerBound) is"
            : "entries \(numbers.lowerBound) to \(numbers.upperBound) are"
    }
}
