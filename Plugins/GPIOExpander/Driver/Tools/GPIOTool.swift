import GPIOLines
import Glibc
import JSONLines
import LockerKit

/// The installer's tool, as a program beside the driver: `gpio-expander-module scan`.
///
/// One line of JSON on standard input is read for form's sake; lines of JSON on standard output tell what there is: a
/// `{"event":"chip",…}` with all its lines each, a `{"event":"remark","text":…}` for what could not be looked at, and at last
/// `{"event":"done"}` or `{"event":"error","code":…,"message":…}`. Nothing is requested and nothing driven.
package enum GPIOTool {
    package static func run(_ word: String) -> Never {
        signal(SIGPIPE, SIG_IGN)
        guard word == "scan" else {
            ToolOutput.write([
                "event": "error", "code": .string(LockerError.Code.invalidRequest.rawValue),
                "message": .string("no tool \(word); there is scan"),
            ])
            exit(1)
        }
        for path in Chip.paths() {
            do throws(GPIOFailure) {
                ToolOutput.write(try form(of: Chip.at(path)))
            } catch {
                ToolOutput.write(["event": "remark", "text": .string(error.description)])
            }
        }
        ToolOutput.write(["event": "done"])
        exit(0)
    }

    private static func form(of chip: Chip) throws(GPIOFailure) -> JSONObject {
        [
            "event": "chip", "path": .string(chip.path), "name": .string(chip.name),
            "label": .string(chip.label), "device": .string(chip.device),
            "lines": .array(
                try chip.allLines().map { line in
                    [
                        "offset": .int(Int64(line.offset)), "name": .string(line.name),
                        "consumer": .string(line.consumer), "used": .bool(line.isUsed),
                        "output": .bool(line.isOutput),
                    ]
                }),
        ]
    }
}
