import GPIOLines
import JSONLines
import TestSupport
import Testing

@testable import CoilGuardian

@Suite struct `What driver and guardian say to each other` {
    private static let orders: [Order] = [
        Order(id: 1, bank: 0, .hold(bank())),
        Order(id: 2, bank: 3, .hold(bank(offKnown: false, onLevel: false))),
        Order(id: 3, bank: 0, .pulse(line: 63, length: .microseconds(200_001))),
        Order(id: 4, bank: 0, .off), Order(id: 5, bank: 0, .check), Order(id: 6, bank: 0, .drop),
    ]
    private static let answers: [Answer] = [
        Answer(8, .off(after: .microseconds(7), isSeen: true)),
        Answer(1, .done), Answer(2, .on),
        Answer(3, .off(after: .microseconds(200_123), isSeen: nil)),
        Answer(4, .failed(broken, mayBeOn: true)), Answer(5, .stuck(gone)),
        Answer(6, .levels([true, false, nil])),
    ]

    @Test func `is understood as it was meant`() throws {
        for order in Self.orders {
            #expect(try Order(json: JSONReader.parse(order.json.text)) == order)
        }
        for answer in Self.answers {
            #expect(try Answer(json: JSONReader.parse(answer.json.text)) == answer)
        }
    }

    /// Nothing that is broken is ever an order to energise something else.
    @Test func `is refused when it is mutilated`() throws {
        var random = SeededGenerator(seed: 5)
        var taken = 0
        for _ in 0..<20_000 {
            let order = Self.orders[Int.random(in: 0..<Self.orders.count, using: &random)]
            var bytes = order.json.encoded
            for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                default: bytes = Array(bytes.prefix(place + 1))
                }
            }
            guard let json = try? JSONReader.parse(bytes), let read = try? Order(json: json) else {
                continue
            }
            taken += 1
            switch read.what {
            case .hold(let bank):
                #expect(1...LineSet.most ~= bank.lines.count && bank.chip.hasPrefix("/"))
                #expect(Set(bank.lines.map(\.offset)).count == bank.lines.count)
            case .pulse(let line, let length):
                #expect(0..<LineSet.most ~= line && length > .zero)
            case .off, .check, .drop: break
            }
        }
        #expect(taken > 100, "the fuzz is too rough to say anything")
    }
}
