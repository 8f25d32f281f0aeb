import Foundation

/// Links of Markdown files, checked without a network: only those that stay in the checkout.
enum DocumentLinks {
    static func dead(in file: TextFile, of tree: SourceTree) -> [Finding] {
        let folder = file.path.split(separator: "/").dropLast().joined(separator: "/")
        return withoutCode(file).flatMap { line, text in
            text.matches(of: /\]\(([^)\s]+)\)/).compactMap { match -> Finding? in
                let link = String(match.output.1)
                guard !link.contains("://"), !link.hasPrefix("mailto:") else { return nil }
                let parts = link.split(
                    separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
                let target = parts[0].isEmpty ? file.path : resolved(String(parts[0]), in: folder)
                guard parts[0].isEmpty || tree.exists(target) else {
                    return Finding(path: file.path, line: line, message: "no file \(target)")
                }
                guard parts.count == 2, let other = parts[0].isEmpty ? file : tree.file(target),
                    !headings(of: other).contains(String(parts[1]))
                else { return nil }
                return Finding(path: file.path, line: line, message: "no heading \(link)")
            }
        }
    }

    private static func resolved(_ link: String, in folder: String) -> String {
        var components = folder.split(separator: "/").map(String.init)
        for part in link.split(separator: "/") where part != "." {
            if part == ".." { _ = components.popLast() } else { components.append(String(part)) }
        }
        return components.joined(separator: "/")
    }

    /// Lines with their numbers, blocks and spans of code left out.
    private static func withoutCode(_ file: TextFile) -> [(line: Int, text: String)] {
        var isInBlock = false
        return file.lines.enumerated().compactMap { index, line in
            if line.drop(while: \.isWhitespace).hasPrefix("```") {
                isInBlock.toggle()
                return nil
            }
            return isInBlock ? nil : (index + 1, String(line).replacing(/`[^`]*`/, with: ""))
        }
    }

    /// The anchors that a forge makes from headings.
    private static func headings(of file: TextFile) -> Set<String> {
        Set(
            file.lines.filter { $0.hasPrefix("#") }.map { line in
                let words = line.drop { $0 == "#" }.trimmingCharacters(in: .whitespaces)
                    .lowercased()
                return String(words.filter { $0.isLetter || $0.isNumber || "-_ ".contains($0) })
                    .replacing(" ", with: "-")
            })
    }
}
