package wire

import "encoding/json"

// Scanner is a position in JSON that json.Valid has accepted; on anything else
// its methods may panic.
type Scanner struct {
	Src []byte
	Pos int
}

// Peek returns the next byte, or 0 at the end.
func (s *Scanner) Peek() byte {
	if s.Pos < len(s.Src) {
		return s.Src[s.Pos]
	}
	return 0
}

// Space moves to the next byte that is not white space and returns it, or 0 at
// the end.
func (s *Scanner) Space() byte {
	for s.Pos < len(s.Src) {
		switch s.Src[s.Pos] {
		case ' ', '\t', '\r', '\n':
			s.Pos++
		default:
			return s.Src[s.Pos]
		}
	}
	return 0
}

// Value moves over one value and returns it, without the space around it.
func (s *Scanner) Value() json.RawMessage {
	switch s.Space() {
	case '"':
		return s.Str()
	case '{', '[':
		return s.composite()
	}
	return s.Scalar()
}

// Str moves over a string and returns it with its quotes.
func (s *Scanner) Str() json.RawMessage {
	start := s.Pos
	for s.Pos++; s.Pos < len(s.Src); s.Pos++ {
		switch s.Src[s.Pos] {
		case '\\':
			s.Pos++
		case '"':
			s.Pos++
			return s.Src[start:s.Pos]
		}
	}
	return s.Src[start:]
}

// composite moves over an object or array. It counts instead of recursing, so
// nesting costs no stack.
func (s *Scanner) composite() json.RawMessage {
	start := s.Pos
	for depth := 0; s.Pos < len(s.Src); {
		switch s.Src[s.Pos] {
		case '"':
			s.Str()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.Pos++
		if depth == 0 {
			break
		}
	}
	return s.Src[start:s.Pos]
}

// Scalar moves over a number, true, false or null and returns it.
func (s *Scanner) Scalar() json.RawMessage {
	start := s.Pos
	for s.Pos < len(s.Src) {
		switch s.Src[s.Pos] {
		case ',', ':', '}', ']', ' ', '\t', '\r', '\n':
			return s.Src[start:s.Pos]
		}
		s.Pos++
	}
	return s.Src[start:s.Pos]
}
