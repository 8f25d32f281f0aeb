import BusKit
import Glibc
import JSONLines
import LockerKit

/// The installer's tools, as a program beside the driver: `modbus-module scan` and `modbus-module assign`.
///
/// One line of JSON on standard input says what to do (see ``ScanRequest``; `assign` wants `to` and `register` besides), lines of
/// JSON on standard output say what happens; `{"event":"consent","unit":…}` waits for a line `yes`. The last one is `{"event":"done"}` or `{"event":"error","code":…,"message":…}`.
package enum ModbusTool {
    package static func run(_ word: String) async -> Never {
        signal(SIGPIPE, SIG_IGN)
        do throws(LockerError) {
            let line = readLine(strippingNewline: true) ?? ""
            guard let json = try? JSONReader.parse(line), let object = json.objectValue else {
                throw LockerError(
                    .invalidRequest, "want one line with a JSON object on standard input")
            }
            let request = try ScanRequest(object)
            switch word {
            case "scan": _ = try await Scanner(request, tell: say).run()
            case "assign":
                let options = Options(object)
                try await UnitAssignment.run(
                    request, to: try options.integer("to", in: Limits.unit),
                    register: try options.integer("register", in: Limits.address), tell: say
                ) { unit in
                    ToolOutput.write(["event": "consent", "unit": .int(Int64(unit))])
                    return readLine(strippingNewline: true) == "yes"
                }
            default:
                throw LockerError(.invalidRequest, "no tool \(word); there are scan and assign")
            }
            ToolOutput.write(["event": "done"])
            exit(0)
        } catch {
            ToolOutput.write([
                "event": "error", "code": .string(error.code.rawValue),
                "message": .string(error.message),
            ])
            exit(1)
        }
    }

    private static func say(_ event: Scanner.Event) {
        switch event {
        case .progress(let done, let total, let setting, let unit):
            ToolOutput.write([
                "event": "progress", "done": .int(Int64(done)), "total": .int(Int64(total)),
                "baud": .int(Int64(setting.baud)), "parity": .string(setting.parity.rawValue),
                "unit": .int(Int64(unit)),
            ])
        case .remark(let text): ToolOutput.write(["event": "remark", "text": .string(text)])
        case .found(let found): ToolOutput.write(form(of: found))
        }
    }

    private static func form(of found: Scanner.Found) -> JSONObject {
        [
            "event": "found", "unit": .int(Int64(found.unit)),
            "baud": .int(Int64(found.setting.baud)),
            "parity": .string(found.setting.parity.rawValue), "shared": .bool(found.isShared),
            "matches": .array(
                found.matches.map { match in
                    [
                        "board": .string(match.candidate.name), "score": .int(Int64(match.score)),
                        "maturity": .string(match.candidate.maturity),
                        "lockers": .int(Int64(match.candidate.lockers)),
                        "reasons": .array(match.reasons.map(JSON.string)),
                        "doubts": .array(match.candidate.doubts.map(JSON.string)),
                    ]
                }),
        ]
    }
}
