// Lines at the bottom of a terminal that are drawn anew in place; messages go above them. Nothing of it where
// standard error is no terminal, where log lines are JSON, or where TERM is "dumb". May be used from several
// threads.
#pragma once
#include <functional>
#include <string>

namespace thimble {

bool HasStatus();   // whether lines are drawn at all
bool HasColours();  // and with colours: NO_COLOR is not set (no-color.org)

// From the top: what runs as a whole, how it stands, what is under way.
enum class StatusLine { kStage, kBest, kRate, kProgress };

// Draws at most ten times a second, but for a line that appears or goes. `label` stands out. Cut to the
// terminal's width: ASCII alone.
void SetStatus(StatusLine line, const std::string& label, const std::string& text);
void ClearStatus(StatusLine line);

// Prints to standard error, whole lines, above what is drawn.
void AboveStatus(const std::function<void()>& print);

// A line as it is drawn on a terminal that is `columns` wide.
std::string StatusText(const std::string& label, const std::string& text, int columns, bool colours);

}  // namespace thimble
