package history

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/msgorch/msgorch/db"
)

// patience is how long messages are looked at that may not match.
type patience struct {
	first int32 // messages in the first step for words
	most  int32 // messages in a step
	// When a page that is not full ends all the same. The next page goes on from
	// there, so that nobody waits for long and nothing is left out.
	words, statuses time.Duration
	// Before that it has looked at so many times as many messages as it may have, for
	// statuses: where there are few messages, all are looked at.
	least int32
	// A word that not even few of enough messages have is found by its index, in time
	// that grows with all that have it: it must be surely a rare one. One that more
	// than rare have was common once, and is walked for.
	few    int
	enough int32
	rare   int32
}

// usualPatience takes a few milliseconds for a page, and longer for words, which
// take longer to look at.
func usualPatience() patience {
	return patience{first: 400, most: 6400, words: 80 * time.Millisecond, statuses: 2500 * time.Microsecond, least: 3, few: 1, enough: 6000, rare: 1000}
}

// isOver reports whether a page that is not full should end, after so many messages
// seen, instead of looking at so many more. w is as it was when the page began. Looking
// at a status is so quick that the next step, which is as long as all before, must be
// counted beforehand.
func (p patience) isOver(w walker, took time.Duration, seen, next int32) bool {
	if w.query != "" {
		return took > p.words
	}
	return seen >= p.least*w.limit && took+took*time.Duration(next)/time.Duration(seen) > p.statuses
}

// next returns how many messages the step after one of so many rows looks at: twice as
// many, or what is likely to have those that are missing when of those seen so many
// were found.
func (p patience) next(rows, seen, found, missing int32) int32 {
	next := min(2*rows, p.most)
	if found > 0 {
		likely := int64(missing) * int64(seen) / int64(found)
		next = min(next, int32(min(likely+likely/4+1, int64(p.most))))
	}
	return next
}

// walker looks at messages one after another for those that match: those with a
// status, which comes and goes, or with words, have no index in the order of time.
type walker struct {
	window
	instances []int64
	chats     []int64 // nil: any
	among     among
}

// among are the messages that a walker looks at, when they have an index.
type among int

const (
	all     among = iota
	open          // not settled
	stopped       // failed, canceled or expired
)

// walk looks at messages from the newest on until the page is full, the end or
// its patience is reached. Words that few messages have are looked up
// instead.
func (r *Reader) walk(ctx context.Context, w walker) (page []db.ShownMessage, looked *cursor, err error) {
	began, start := time.Now(), w
	var seen int32
	mayBeRare := w.query != "" && !w.before.common
	rows := w.limit // mostly they match
	if w.query != "" {
		rows = r.patience.first
	}
	for {
		steps, err := r.step(ctx, w, rows)
		if err != nil {
			return nil, nil, err
		}
		seen += rows
		looked = nil
		for _, s := range steps {
			m := s.ShownMessage
			if s.Matches {
				page = append(page, m)
				w.limit--
			}
			if s.IsHorizon {
				looked = &cursor{at: m.CreatedAt, n: m.Seq, common: w.before.common}
			}
		}
		switch {
		case w.limit <= 0, looked == nil:
			return page, nil, nil
		case mayBeRare && len(page) < r.patience.few && seen >= r.patience.enough:
			rare, err := r.rareWords(ctx, w.words)
			if err != nil {
				return nil, nil, err
			}
			if rare != "" {
				page, err = r.lookUp(ctx, start, rare)
				return page, nil, err
			}
			mayBeRare, looked.common = false, true
		}
		rows = r.patience.next(rows, seen, int32(len(page)), w.limit)
		if r.patience.isOver(start, time.Since(began), seen, rows) {
			return page, looked, nil
		}
		w.before = *looked
	}
}

// step looks at the next so many messages.
func (r *Reader) step(ctx context.Context, w walker, rows int32) ([]db.ListMessagesRow, error) {
	q := db.New(r.pool)
	switch {
	case w.chats != nil:
		steps, err := q.WalkChats(ctx, db.WalkChatsParams{
			ChatIds: w.chats, Directions: w.direction, Statuses: w.status, Query: w.query,
			BeforeAt: w.before.at, BeforeSeq: w.before.n, Since: w.since, EachRows: max(rows/int32(len(w.chats)), w.limit), MaxRows: w.limit,
		})
		return stepsOf(steps), err
	case w.query != "":
		steps, err := q.WalkMessages(ctx, db.WalkMessagesParams{
			InstanceIds: w.instances, Directions: w.direction, Statuses: w.status, Query: w.query,
			BeforeAt: w.before.at, BeforeSeq: w.before.n, Since: w.since,
			EachRows: max(rows/int32(len(w.instances)*len(w.direction)), w.limit), MaxRows: w.limit,
		})
		return stepsOf(steps), err
	case w.among == open:
		steps, err := q.ListOpen(ctx, db.ListOpenParams{
			InstanceIds: w.instances, Statuses: w.status,
			BeforeAt: w.before.at, BeforeSeq: w.before.n, Since: w.since, LookAt: rows, MaxRows: w.limit,
		})
		return stepsOf(steps), err
	case w.among == stopped:
		steps, err := q.ListStopped(ctx, db.ListStoppedParams{
			InstanceIds: w.instances, Statuses: w.status,
			BeforeAt: w.before.at, BeforeSeq: w.before.n, Since: w.since, LookAt: rows, MaxRows: w.limit,
		})
		return stepsOf(steps), err
	}
	return q.ListMessages(ctx, db.ListMessagesParams{
		InstanceIds: w.instances, Directions: w.direction, Statuses: w.status,
		BeforeAt: w.before.at, BeforeSeq: w.before.n, Since: w.since, LookAt: rows, MaxRows: w.limit,
	})
}

// stepsOf gives the rows of all walks one type: sqlc gives each its own.
func stepsOf[Row db.WalkChatsRow | db.WalkMessagesRow | db.ListOpenRow | db.ListStoppedRow](rows []Row) []db.ListMessagesRow {
	steps := make([]db.ListMessagesRow, len(rows))
	for i, r := range rows {
		steps[i] = db.ListMessagesRow(r)
	}
	return steps
}

// commonPart is the part of all texts above which a word is not looked up: of ten
// million it would take the index seconds to collect the messages of some.
const commonPart = 0.01

// rareWords returns a query for those of the words that so few messages have that all
// may be read; it is empty when too many do.
func (r *Reader) rareWords(ctx context.Context, words []string) (query string, err error) {
	q := db.New(r.pool)
	p := db.UselessWordsParams{Part: commonPart}
	for _, word := range words {
		p.Words, p.Terms = append(p.Words, strings.ToLower(word)), append(p.Terms, tsquery([]string{word}))
	}
	useless, err := q.UselessWords(ctx, p)
	if err != nil {
		return "", err
	}
	others := words
	if slices.ContainsFunc(useless, func(u db.UselessWordsRow) bool { return u.IsCommon }) {
		others = nil
		for i, word := range words {
			if !slices.ContainsFunc(useless, func(u db.UselessWordsRow) bool { return u.Word == p.Words[i] }) {
				others = append(others, word)
			}
		}
	}
	if len(others) == 0 {
		return "", nil
	}
	query = tsquery(others)
	n, err := q.CountMatches(ctx, db.CountMatchesParams{Query: query, MaxRows: r.patience.rare + 1})
	if n > r.patience.rare {
		query = ""
	}
	return query, err
}

// lookUp finds messages by the index of words, which is asked for the rare ones.
func (r *Reader) lookUp(ctx context.Context, w walker, rare string) ([]db.ShownMessage, error) {
	chats := w.chats
	if chats == nil {
		chats = []int64{}
	}
	return db.New(r.pool).SearchMessages(ctx, db.SearchMessagesParams{
		Query: w.query, Indexed: rare, InstanceIds: w.instances, ChatIds: chats, Directions: w.direction, Statuses: w.status,
		BeforeAt: w.before.at, BeforeSeq: w.before.n, Since: w.since, MaxRows: w.limit,
	})
}
