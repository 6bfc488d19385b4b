package history

// Impatient returns a Reader that looks at few messages before it ends a page, and
// counts what a search matches when enough messages did not.
func Impatient(r *Reader, rows, enough int32) *Reader {
	return &Reader{pool: r.pool, patience: patience{first: rows, most: rows, few: 1, enough: enough, rare: rows}}
}
