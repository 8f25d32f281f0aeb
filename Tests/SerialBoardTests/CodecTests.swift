import BusKit
import LockerKit
import TestSupport
import Testing

@testable import SerialBoardDriver

/// Bytes as people write them.
func bytes(_ text: String) -> [UInt8] {
    text.split(separator: " ").compactMap { UInt8($0, radix: 16) }
}

/// One line of a family's byte table: a question, its exact request, a reply and what it says.
struct Row: Sendable, CustomTestStringConvertible {
    let codec: any Codec
    let question: Question
    let request: String
    let reply: String
    let finding: Finding

    init(
        _ codec: any Codec, _ question: Question, _ request: String, _ reply: String,
        _ finding: Finding
    ) {
        (self.codec, self.question) = (codec, question)
        (self.request, self.reply, self.finding) = (request, reply, finding)
    }

    var testDescription: String { request }

    private static func open(_ channels: Int..., of count: Int) -> Finding {
        let levels = (1...count).map { ($0, !channels.contains($0)) }
        return .answer(.levels(Dictionary(uniqueKeysWithValues: levels)))
    }

    private static func perhaps(_ closed: Set<Int>, of count: Int) -> Finding {
        let levels = (1...count).map { ($0, closed.contains($0)) }
        return .perhaps(.levels(Dictionary(uniqueKeysWithValues: levels)))
    }

    // The requests and replies are those that the makers' sheets and captures in public projects show, where there are any.
    static let all: [Row] = [
        Row(
            KerongCodec(address: 0), .open(channel: 1), "02 00 31 03 36",
            "02 00 35 fe ff 00 00 03 37", .answer(.taken)),
        Row(
            KerongCodec(address: 0), .all, "02 00 30 03 35", "02 00 35 ff ff 00 00 03 38",
            open(of: 16)),
        Row(
            KerongCodec(address: 1), .open(channel: 16), "02 1f 31 03 55",
            "02 1f 35 ff 7f 00 00 03 d7", .answer(.taken)),
        Row(
            KerongCodec(address: 1), .one(channel: 3), "02 12 30 03 47",
            "02 12 35 fb 7f 00 00 03 c6", open(3, 16, of: 16)),
        Row(
            HexCodec(address: 1), .open(channel: 1), "8a 01 01 11 9b", "8a 01 01 11 9b",
            .answer(.taken)),
        Row(
            HexCodec(address: 1), .open(channel: 1), "8a 01 01 11 9b", "8a 01 01 00 8a",
            .answer(.taken)),
        Row(
            HexCodec(address: 1), .one(channel: 1), "80 01 01 33 b3", "80 01 01 11 91",
            .answer(.levels([1: true]))),
        Row(
            HexCodec(address: 1), .one(channel: 24), "80 01 18 33 aa", "80 01 18 00 99",
            .answer(.levels([24: false]))),
        Row(
            HexCodec(address: 1), .all, "80 01 00 33 b2", "80 01 00 00 00 33 b2",
            perhaps([], of: 24)),
        Row(
            HexCodec(address: 2), .all, "80 02 00 33 b1", "80 02 05 03 33 b7",
            perhaps([1, 3, 9, 10], of: 16)),
        Row(
            HexCodec(address: 2, order: .highestFirst), .all, "80 02 00 33 b1",
            "80 02 05 03 33 b7", perhaps([1, 2, 9, 11], of: 16)),
        Row(
            WinnsenCodec(address: 1), .open(channel: 1), "90 06 05 01 01 03",
            "90 07 85 01 01 01 03", .answer(.taken)),
        Row(
            WinnsenCodec(address: 1), .one(channel: 5), "90 06 12 01 05 03",
            "90 07 92 01 00 05 03", .answer(.levels([5: false]))),
        Row(
            WinnsenCodec(address: 3), .one(channel: 1), "90 06 12 03 01 03",
            "90 07 92 03 01 01 03", .answer(.levels([1: true]))),
        Row(
            WKLYCodec(address: 0), .open(channel: 1), "57 4b 4c 59 09 00 82 01 83",
            "57 4b 4c 59 0b 00 82 00 01 00 81", .answer(.taken)),
        Row(
            WKLYCodec(address: 1), .one(channel: 2), "57 4b 4c 59 09 01 83 02 80",
            "57 4b 4c 59 0b 01 83 00 02 01 83", .answer(.levels([2: true]))),
        Row(
            WKLYCodec(address: 0), .all, "57 4b 4c 59 08 00 84 85",
            "57 4b 4c 59 0d 00 84 00 03 00 01 01 83", open(1, of: 3)),
    ]
}

@Suite struct `A family's frames` {
    @Test(arguments: Row.all)
    func `are these bytes`(row: Row) {
        #expect(row.codec.request(row.question) == bytes(row.request))
        #expect(row.codec.find(row.question, in: bytes(row.reply)) == row.finding)
    }

    @Test(arguments: Row.all)
    func `are found behind noise, and before it`(row: Row) {
        var noisy = bytes("fa fd 99 00") + bytes(row.reply)
        #expect(row.codec.find(row.question, in: noisy) == row.finding)
        noisy += bytes("ff 00")
        #expect(row.codec.find(row.question, in: noisy) == row.finding)
    }

    @Test(arguments: Row.all)
    func `are none until their last byte`(row: Row) {
        let reply = bytes(row.reply)
        for count in 0..<reply.count {
            let part = Array(reply.prefix(count))
            #expect(row.codec.find(row.question, in: part) == .nothing, "\(part)")
        }
    }

    @Test(arguments: Row.all)
    func `are none with any one bit turned, but for what a board may say`(row: Row) {
        let reply = bytes(row.reply)
        let hasChecksum = !(row.codec is WinnsenCodec)
        for index in reply.indices {
            for bit in 0..<8 {
                var turned = reply
                turned[index] ^= 1 << UInt8(bit)
                let finding = row.codec.find(row.question, in: turned)
                // A board without a checksum is believed in its status; in nothing else.
                let isStatus = index == (row.question.isOrder ? 5 : 4)
                guard hasChecksum || !isStatus else { continue }
                #expect(finding == .nothing, "byte \(index), bit \(bit): \(turned)")
            }
        }
    }

    /// Somebody else's answer is no answer: not another board's, not one about another lock, not one to another question.
    @Test(arguments: Row.all)
    func `of another board or lock are no answer`(row: Row) {
        for other in Row.all {
            let isSame =
                type(of: other.codec) == type(of: row.codec)
                && other.codec.address == row.codec.address
            guard !isSame || other.question != row.question else { continue }
            // A board that tells all its locks whatever lock it was asked about answers any question so, though not any order.
            // What it says of its first lock and of all of them is the same.
            let isToldApart =
                row.question.isOrder && bytes(other.reply)[1] != bytes(row.request)[1]
            guard !isSame || !(row.codec is KerongCodec) || isToldApart else { continue }
            #expect(
                row.codec.find(row.question, in: bytes(other.reply)) == .nothing,
                "\(other.request)")
        }
    }

    @Test(arguments: Row.all)
    func `are never taken from our own question, heard back`(row: Row) {
        guard !row.question.isOrder else { return }
        #expect(row.codec.find(row.question, in: row.codec.request(row.question)) == .nothing)
    }

    @Test func `tell of a coil that has to cool down`() {
        let finding = WinnsenCodec(address: 1).find(
            .open(channel: 1), in: bytes("90 07 85 01 01 02 03"))
        guard case .answer(.refused(let refusal)) = finding else {
            Issue.record("\(finding)")
            return
        }
        let error = Fault.refused(refusal).fateful("board (address 1), asked to fire locker 1,")
        #expect(error.code == .dutyLimit && error.fired == .no && error.sent == .yes)
        #expect(error.message.hasSuffix("refused: status 2, the coil has to cool down"))
    }

    @Test(arguments: [
        ("90 07 85 01 01 00 03", WinnsenCodec(address: 1) as any Codec),
        ("57 4b 4c 59 0b 01 82 ff 01 00 7f", WKLYCodec(address: 1)),
    ])
    func `that say "failed" leave open whether the lock was fired`(
        reply: String, codec: any Codec
    ) {
        guard case .answer(.refused(let refusal)) = codec.find(.open(channel: 1), in: bytes(reply))
        else {
            Issue.record("\(reply) is no refusal")
            return
        }
        let error = Fault.refused(refusal).fateful("board")
        #expect(error.code == .refused && error.fired == .unknown)
    }

    @Test func `of unknown status say nothing`() {
        let winnsen = WinnsenCodec(address: 1)
        #expect(winnsen.find(.open(channel: 1), in: bytes("90 07 85 01 01 07 03")) == .nothing)
        #expect(winnsen.find(.one(channel: 1), in: bytes("90 07 92 01 07 01 03")) == .nothing)
        // A door that failed to be read is unknown, not closed.
        let wkly = WKLYCodec(address: 0)
        let doors = wkly.find(.all, in: bytes("57 4b 4c 59 0d 00 84 00 03 00 ff 01 7d"))
        #expect(doors == .answer(.levels([1: false, 3: true])))
    }
}

/// What must never leave: orders that open more than one lock, or keep a coil energised.
@Suite struct `Dangerous orders` {
    private static func all() -> [(any Codec, ClosedRange<Int>)] {
        KerongCodec.addresses.map { (KerongCodec(address: UInt8($0)), KerongCodec.channels) }
            + HexCodec.addresses.map { (HexCodec(address: UInt8($0)), HexCodec.channels) }
            + WinnsenCodec.addresses.map {
                (WinnsenCodec(address: UInt8($0)), WinnsenCodec.channels)
            }
            + WKLYCodec.addresses.map { (WKLYCodec(address: UInt8($0)), WKLYCodec.channels) }
    }

    /// The command of a frame that is not a single open or a question, or the lock that means all locks.
    private func danger(_ codec: any Codec, _ frame: [UInt8]) -> String? {
        switch codec {
        case is KerongCodec: [0x30, 0x31].contains(frame[2]) ? nil : "command \(frame[2])"
        case is HexCodec:
            frame[0] == 0x80 || (frame[0] == 0x8A && frame[2] != 0) ? nil : "\(frame)"
        case is WinnsenCodec: [0x05, 0x12].contains(frame[2]) ? nil : "function \(frame[2])"
        default: [0x82, 0x83, 0x84].contains(frame[6]) ? nil : "command \(frame[6])"
        }
    }

    @Test func `are not among all the frames that can be made`() {
        var opens: Set<[UInt8]> = []
        var count = 0
        for (codec, channels) in Self.all() {
            for channel in channels {
                for question in [.open(channel: channel), .one(channel: channel), Question.all] {
                    let frame = codec.request(question)
                    #expect(danger(codec, frame) == nil)
                    if question.isOrder {
                        opens.insert(frame)
                        count += 1
                    }
                }
            }
        }
        // Each lock of each board has an order of its own.
        #expect(opens.count == count && count > 4000)
    }

    @Test func `are not answers either: no order is another board's answer`() {
        let boards = Self.all()
        for (codec, _) in boards where codec.address == 1 {
            let order = codec.request(.open(channel: 3))
            for (other, _) in boards where type(of: other) == type(of: codec) {
                for question in [.one(channel: 3), Question.all] {
                    #expect(other.find(question, in: order) == .nothing)
                }
            }
        }
    }
}

@Suite struct `Frames that an enemy made` {
    /// Random bytes, bytes around real frames, and truncated ones: nothing crashes, and what is found names only real channels.
    @Test func `are read without harm`() {
        var random = SeededGenerator(seed: 20_261)
        let starts = Row.all.map { bytes($0.reply) }
        for _ in 0..<20_000 {
            var frame = starts.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                switch Int.random(in: 0...3, using: &random) {
                case 0 where !frame.isEmpty:
                    frame[Int.random(in: 0..<frame.count, using: &random)] = .random(
                        in: 0...255, using: &random)
                case 1 where !frame.isEmpty:
                    frame.removeLast(Int.random(in: 1...frame.count, using: &random))
                case 2: frame += starts.randomElement(using: &random) ?? []
                default:
                    frame.insert(
                        .random(in: 0...255, using: &random),
                        at: Int.random(in: 0...frame.count, using: &random))
                }
            }
            for row in Row.all {
                guard case .answer(.levels(let levels)) = row.codec.find(row.question, in: frame)
                else { continue }
                #expect(levels.keys.allSatisfy { 1...255 ~= $0 })
            }
        }
    }
}

@Suite struct `What a line repeats` {
    private func heard(_ repeats: Bool?, _ request: String, _ came: String) -> Heard {
        var heard = Heard(request: bytes(request), repeats: repeats)
        heard.append(bytes(came)[...])
        return heard
    }

    /// The answer of these boards to an order can be the order, byte for byte.
    @Test func `is not taken for an answer`() {
        let order = "8a 01 01 11 9b"
        let codec = HexCodec(address: 1)
        for came in [order, "00 " + order, order + " 00"] {
            for repeats in [nil, true] {
                let heard = heard(repeats, order, came)
                #expect(codec.find(.open(channel: 1), in: heard.bytes) == .nothing, "\(came)")
            }
        }
        let both = heard(true, order, order + " " + order)
        #expect(codec.find(.open(channel: 1), in: both.bytes) == .answer(.taken))
        // A line that is known not to repeat anything has told what the board said.
        let answer = heard(false, order, order)
        #expect(codec.find(.open(channel: 1), in: answer.bytes) == .answer(.taken))
    }

    @Test func `is nothing a board has said`() {
        #expect(heard(nil, "02 00 30 03 35", "02 00 30 03 35").isEmpty)
        #expect(!heard(nil, "02 00 30 03 35", "02 00 30").isEmpty)
        #expect(
            heard(false, "02 00 30 03 35", "02 00 35 ff ff 00 00 03 38").repeatsRequest == false)
    }
}
