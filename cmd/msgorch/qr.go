package main

import (
	"strings"

	"rsc.io/qr"
)

// quiet is the margin that a QR code needs to be found, in modules.
const quiet = 2

// drawQR draws a text as a QR code of half blocks, two rows of modules to a line,
// black on white whatever the terminal's own colours are.
func drawQR(text string) ([]string, error) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return nil, err
	}
	const blackOnWhite, plain = "\x1b[38;5;16;48;5;231m", "\x1b[0m"
	var lines []string
	for y := -quiet; y < code.Size+quiet; y += 2 {
		var line strings.Builder
		line.WriteString(blackOnWhite)
		for x := -quiet; x < code.Size+quiet; x++ {
			switch top, bottom := code.Black(x, y), code.Black(x, y+1); {
			case top && bottom:
				line.WriteRune('█')
			case top:
				line.WriteRune('▀')
			case bottom:
				line.WriteRune('▄')
			default:
				line.WriteByte(' ')
			}
		}
		line.WriteString(plain)
		lines = append(lines, line.String())
	}
	return lines, nil
}
