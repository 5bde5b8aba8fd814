// Package locks provides edit locks for web pages: while a user edits a thing,
// the user's page holds its lock, everyone can see who holds it, and it is
// released when the holder disconnects, even if the browser says nothing.
//
// # Usage
//
// A lock is held by a [presence.Session], which is one page of one user, and not
// by a connection: pages lose their connections and reconnect. A [Table] has the locks,
// a stream of them, and a handler by which pages take and release them:
//
//	people := &presence.Tracker{Key: key, User: currentUser} // currentUser func(*http.Request) string
//	cards := &locks.Table[int]{Presence: people}
//	http.Handle("/page.js", people)                     // the script, and its messages
//	http.Handle("GET /locks", cards)                    // a stream of the page
//	http.Handle("POST /locks", cards.Handler(cardID))   // cardID func(*http.Request) (int, error)
//	http.Handle("POST /save", cards.Guard(cardID, save))
//
// Each page is rendered with a token of its own, and with the header Cache-Control:
// no-store:
//
//	data.Token, data.Session = people.Token(user)
//
//	<script type="module" src="/page.js" data-page="{{.Token}}"></script>
//	<script type="module">
//	  import { connect, post } from "/page.js"
//
//	  const source = connect("/locks")
//	  source.addEventListener("locks", event => showAll(JSON.parse(event.data)))
//	  source.addEventListener("lock", event => show(JSON.parse(event.data)))
//	  const take = card => post("/locks", { action: "take", card })
//	</script>
//
// The page holds a lock whose holder.page is its own Session.Page, and sends the lock's
// fence with a save.
//
// A page needs one stream only, for everything: a program that sends more than locks opens
// the stream itself and calls [Table.Add]. Events are JSON; [Table.ChangeEvent] and
// [Table.SnapshotEvent] render them in another way. What a program does with locks itself,
// it does with [Table.Take], [Table.Queue], [Table.Steal] and [Table.Release].
//
// # When a lock is released
//
// A lock is released by its holder; when [Table.MaxHold] has passed, if that is
// set; and when the holder's session ends. A session ends at once if the page says
// goodbye, which the script of package presence does when the page is left or
// closed. Otherwise it ends a grace period after its last connection was lost, 8 s
// by default. If the peer is dead, because a cable was cut or a machine crashed,
// the connection is lost some seconds later: within the write timeout after the
// next event or keep-alive comment, see [sse.AcceptOptions].
//
// With a Store, a page may have reconnected to another process within its grace. So
// the locks of a session that fell silent are released once all processes have said
// that they do not have it; one that does not answer delays that until its lease is over.
//
// # Delivery and ordering
//
// A change takes effect first and is then reported: by an event to the table's streams,
// and by a call of the function Changed. All changes are reported in one order, the order
// in which they were made; with a Store it is the store's, in every process. A page that
// connects is sent the whole table, followed by the changes since; the table may already
// contain some of them. So no page is left with an outdated icon.
//
// A method may return before its change has been reported: if another goroutine is
// reporting one at that moment, and with a Store, whose watch reports all changes.
// Queued sessions get the lock in the order in which they queued.
//
// # Saving
//
// A user who has lost a lock may not know it yet. Each new holder gets a fence, a
// number greater than that of any holder before, and a save must send it:
// [Table.Guard] returns a handler that refuses a save with an old fence. It asks the Store,
// if there is one, as [Table.Check] does. The lock can still be lost between a check and
// the database's commit, for example because a process was suspended. Where that
// matters the database should check the fence as well, as in
//
//	UPDATE card SET text = ?, fence = ? WHERE id = ? AND fence <= ?
//
// # Cost
//
// With 10,000 sessions that hold one lock each, a lock needs 0.6 KiB, and takes 1.8 µs
// to be taken or released, in the table's own memory and as long as no change is
// reported:
//
//	go test -run - -bench . ./locks
//
// # Restart
//
// The table's own memory is lost with the process: after a restart all locks are
// free, and pages that reconnect learn that from the snapshot. Fences keep growing,
// since they start from the clock's time, so edits made under an earlier lock cannot
// overwrite anything unless the lock is taken again.
//
// # Several processes
//
// A table keeps its locks in the [backplane.Store] of its tracker, if that has one, as
// in packages natslog, redislog and pglog. Tables with the same Name then act as one table
// across processes:
//
//	people := &presence.Tracker{Store: store, Key: key}
//	cards := &locks.Table[int]{Presence: people, Hub: &hub}
//
// Each process watches the store and sends the changes that it sees there to its own
// streams, in the store's order. What is edited is sent through the Hub; with Table.Hub
// a lock is not shown as free before the members have what was dispatched before its
// release.
//
// Locks survive the restart of a process if it is back within its lease, 10 s by
// default. If it stays away longer, its sessions end and their locks are released,
// unless their pages have reconnected to another process. A process that is cut off
// from the store knows so, by its own clock, before the others act, and refuses saves
// with [ErrCutOff]. If a request to the store has no answer, it is not known whether it
// was done: try again, which changes nothing if it was. A lock can have two holders only where a clock stands still, such
// as the clock of a suspended machine, or where a store forgets what it has
// acknowledged, as Redis does when it fails over; the fence is for those cases.
package locks
