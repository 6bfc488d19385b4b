package history

// Impatient returns a Reader that looks at few messages before it ends a page.
func Impatient(r *Reader, rows int32) *Reader {
	return &Reader{pool: r.pool, patience: patience{first: rows, most: rows, few: 1, enough: 3 * rows, rare: rows}}
}
