import BLERadio
import Glibc
import JSONLines
import LockerKit
import TowerLink

/// The installer's tool, as a program beside the driver: `ble-tower-module scan`.
///
/// One line of JSON on standard input, `{"seconds":…,"adapter":…}`; lines of JSON on standard output tell what there is: a
/// `{"event":"tower",…}` for each tower when it is heard first and once more when it is known better, a `{"event":"remark","text":…}`,
/// and at last `{"event":"done"}` or `{"event":"error","code":…,"message":…}`. Nothing is connected to.
package enum BLETool {
    private static let seconds = 1...60

    package static func run(_ word: String) -> Never {
        signal(SIGPIPE, SIG_IGN)
        guard word == "scan" else { fail(.invalidRequest, "no tool \(word); there is scan") }
        let request = (readLine().flatMap { try? JSONReader.parse(Array($0.utf8)) }) ?? .object([:])
        let span = request["seconds"]?.intValue ?? 5
        guard seconds.contains(span) else {
            fail(
                .invalidRequest,
                "seconds is \(span); want \(seconds.lowerBound) to \(seconds.upperBound)")
        }
        do throws(BLEFault) {
            let adapter = try adapter(request["adapter"]?.stringValue)
            let how = try listen(adapter, .seconds(span))
            ToolOutput.write(["event": "remark", "text": .string("\(adapter.name), \(how)")])
        } catch {
            if case .notPermitted = error { fail(.notPermitted, error.description) }
            fail(.linkDown, error.description)
        }
        ToolOutput.write(["event": "done"])
        exit(0)
    }

    private static func adapter(_ name: String?) throws(BLEFault) -> Adapter {
        let all = try Adapter.all()
        guard let name else {
            guard let found = all.first(where: \.isUp) ?? all.first else {
                throw .noAdapter("there is no Bluetooth adapter")
            }
            return found
        }
        guard let found = all.first(where: { $0.name == name }) else {
            let known = all.map(\.name).joined(separator: ", ")
            throw .noAdapter(
                "there is no adapter \(name); there is \(known.isEmpty ? "none" : known)")
        }
        return found
    }

    private static func listen(
        _ adapter: Adapter, _ span: Duration
    ) throws(BLEFault) -> String {
        let began = ContinuousClock.now
        // An advertisement comes in two halves where it is one of the old kind.
        var halves: [BLEAddress: Advertisement] = [:]
        var told: [BLEAddress: TowerSighting] = [:]
        return try Scanner.listen(on: adapter, until: began + span) { heard in
            let whole =
                halves[heard.address]?.merged(with: heard.advertisement) ?? heard.advertisement
            // Whoever advertises under ever new addresses gets no more room than that.
            guard halves.count < 1000 || halves[heard.address] != nil else { return }
            halves[heard.address] = whole
            let known = Heard(address: heard.address, signal: heard.signal, advertisement: whole)
            guard let tower = TowerSighting(known) else { return }
            if let before = told[tower.address], before.name == tower.name { return }
            told[tower.address] = tower
            ToolOutput.write(form(of: tower, after: began.duration(to: .now)))
        }
    }

    private static func form(of tower: TowerSighting, after age: Duration) -> JSONObject {
        [
            "event": "tower", "tower": .string(tower.id.description), "name": .string(tower.name),
            "firmware": .string(tower.firmware), "address": .string(tower.address.description),
            "addressType": .string(tower.address.kind.rawValue),
            "signal": tower.signal.map { .int(Int64($0)) } ?? .null,
            "afterMs": .int(
                age.components.seconds * 1000 + age.components.attoseconds / 1_000_000_000_000_000),
        ]
    }

    private static func fail(_ code: LockerError.Code, _ message: String) -> Never {
        ToolOutput.write([
            "event": "error", "code": .string(code.rawValue), "message": .string(message),
        ])
        exit(1)
    }
}
