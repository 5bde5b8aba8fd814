// The editor is a dialog outside the board, so updates do not touch the text in it. A
// page that edits a card holds the card's lock. The board shows the holder, by its page;
// the server decides.
const editor = $('#editor')
const form = editor.querySelector('form')
const token = $('script[data-page]').dataset.page
const me = JSON.parse(editor.dataset.session) // this page's session: its user, and its page
let card // the card in the editor

document.addEventListener('click', event => {
  if (event.target.closest('[data-close]')) discard()
  const id = event.target.closest('[data-edit]')?.closest('.card').dataset.card
  if (id) edit(id)
})
document.addEventListener('dblclick', event => {
  const id = event.target.closest('.text')?.closest('.card')?.dataset.card
  if (id) edit(id)
})
for (const button of editor.querySelectorAll('[data-lock]'))
  button.addEventListener('click', async () => show(await ask(button.dataset.lock)))

async function edit(id) {
  card = id
  show(await ask('take'))
}

// ask is lock for the card in the editor. If the editor is closed, or opened for another
// card, before the reply comes, ask releases the lock.
async function ask(action) {
  const id = card, open = editor.open
  const reply = await lock(action, id)
  if (card === id && editor.open === open) return reply
  if (reply && (mine(reply) || placeIn(reply))) lock('release', id)
}

// lock asks the server to take, queue for, steal or release a card's lock. It returns the
// lock, and with it the card's text if this page has the lock now.
async function lock(action, id) {
  const body = new URLSearchParams({action, id})
  const response = await fetch('/cards/lock', {method: 'POST', body, keepalive: true, headers: {'Page-Token': token}}).catch(() => null)
  const reply = await response?.json().catch(() => null)
  if (!reply) return void document.dispatchEvent(new Event('unsent'))
  if (action === 'release') return
  if (reply.error && reply.error !== 'held') return void complain(mistakes[reply.error] ?? reply.message)
  if (!mine(reply)) return reply
  const text = await fetch(`/cards/${id}`).catch(() => null) // now nobody else can change it
  if (text?.ok) return Object.assign(reply, await text.json())
  lock('release', id)
  complain(text?.status === 404 ? mistakes.key : mistakes.unavailable)
}

const mistakes = {
  token: 'Please reload this page.',
  key: 'That card no longer exists: somebody has deleted it.',
  absent: 'This page is not connected at the moment. Try again when it has reconnected.',
  'queue-full': 'The queue for this card is full.',
  unavailable: 'This server cannot reach the others at the moment. Try again soon.',
}
const mine = lock => lock.holder?.page === me.page
const placeIn = lock => (lock.queue ?? []).findIndex(waiting => waiting.page === me.page) + 1
const holderOf = lock => lock.holder.user === me.user ? 'Another window of yours' : lock.holder.user.split('#')[0]

function complain(text) {
  const p = Object.assign(document.createElement('p'), {className: 'mistake', textContent: text})
  noticeOf().replaceChildren(p)
}

const noticeOf = () => !editor.open ? $('#notice')
  : editor.querySelector(editor.dataset.state === 'mine' || editor.dataset.state === 'lost' ? 'output' : '.place')

// show shows the editor if this page holds the lock, or else the holder.
function show(lock) {
  if (!lock?.holder) return
  if (mine(lock)) {
    for (const name of ['fence', 'revision', 'text']) form.elements[name].value = lock[name]
    form.elements.id.value = card
    form.elements.text.readOnly = false
    form.querySelector('output').replaceChildren()
    editor.dataset.state = 'mine'
  } else {
    const since = new Date(lock.since).toLocaleTimeString([], {hour: '2-digit', minute: '2-digit'})
    editor.querySelector('.who span').textContent = `${holderOf(lock)} has been editing this card since ${since}.`
    place(placeIn(lock))
  }
  if (!editor.open) editor.showModal()
  if (mine(lock)) form.elements.text.focus()
}

function place(n) {
  editor.dataset.state = n ? 'waiting' : 'held'
  editor.querySelector('.place').textContent = !n ? 'Wait for your turn, or take over. If you take over, the text being written there cannot be saved.'
    : n === 1 ? 'You are next. The editor opens when it is your turn.'
    : `${n - 1} ${n === 2 ? 'person is' : 'people are'} ahead of you. The editor opens when it is your turn.`
}

// Locks and board are regions of their own, since each node sends the locks to its own
// pages. markLocks shows each lock on its card.
function markLocks() {
  for (const card of document.querySelectorAll('#board .card')) {
    const lock = $(`#locks [data-of="${card.dataset.card}"]`)
    card.querySelector('.lock')?.remove()
    delete card.dataset.holder
    delete card.dataset.queue
    if (!lock) continue
    Object.assign(card.dataset, {holder: lock.dataset.holder, queue: lock.dataset.queue})
    card.querySelector('footer').before(lock.cloneNode(true))
  }
}
markLocks()
const marker = new MutationObserver(() => { markLocks(); look() })
for (const region of ['#board', '#locks']) marker.observe($(region), {childList: true})

// look compares the editor with the board. It is called after each update.
async function look() {
  if (!editor.open) return
  const {holder, queue = ''} = $(`[data-card="${card}"]`)?.dataset ?? {}
  if (editor.dataset.state === 'mine' && holder !== me.page) {
    const reply = await ask('take') // this page may still hold it, for example after a restart
    if (!reply && (!editor.open || $(`[data-card="${card}"]`))) return // the editor was closed, or the server cannot be reached
    if (reply?.revision == form.elements.revision.value) form.elements.fence.value = reply.fence
    else lose(reply && !mine(reply) && holderOf(reply))
  } else if (editor.dataset.state === 'waiting' || editor.dataset.state === 'held') {
    if (!holder || holder === me.page) show(await ask('take'))
    else place(queue.split(' ').indexOf(me.page) + 1)
  }
}

function lose(to) {
  editor.dataset.state = 'lost'
  form.elements.text.readOnly = true
  form.querySelector('output').innerHTML = '<p class="mistake"></p>'
  form.querySelector('.mistake').textContent = `${to ? `${to} has taken over` : 'The card has changed in the meantime'}. Your text is not saved: copy it if you need it.`
}

editor.addEventListener('close', () => {
  if (editor.dataset.state === 'mine' || editor.dataset.state === 'waiting') lock('release', card)
  editor.dataset.state = ''
})

// A text that was changed is not discarded without a question.
let changed = false
form.addEventListener('input', () => changed = true)
const mayDiscard = () => !editor.open || !changed || confirm('Discard your changes?')
function discard() { if (mayDiscard()) editor.close() }
editor.addEventListener('cancel', event => { if (!mayDiscard()) event.preventDefault() }) // Escape
editor.addEventListener('close', () => changed = false)
addEventListener('beforeunload', event => { if (editor.open && changed) event.preventDefault() })
document.addEventListener('saved', event => editor.contains(event.target) && editor.close())
