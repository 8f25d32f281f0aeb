import ControlClient

/// The line that shows an open-all's progress on a terminal.
struct ProgressBar {
    private static let cells = 24

    /// `[######..................]  8/32  wall/8 opened (door sensor)`, cut to the terminal's width.
    static func text(_ step: OpenAllProgress, width: Int) -> String {
        let done = min(max(step.done, 0), max(step.total, 0))
        let filled = step.total > 0 ? done * cells / step.total : cells
        let bar =
            String(repeating: "#", count: filled)
            + String(repeating: ".", count: cells - filled)
        let newest = step.newest.map { "  \(Sentences.result($0))" } ?? ""
        let text = "[\(bar)]  \(done)/\(step.total)\(newest)"
        return String(Output.clean(text).prefix(max(width - 1, 0)))
    }

    @MainActor
    static func show(_ step: OpenAllProgress) {
        Output.errorText(Terminal.eraseLine + text(step, width: Terminal.size.columns))
    }

    @MainActor
    static func erase() { Output.errorText(Terminal.eraseLine) }
}
