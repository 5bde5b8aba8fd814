// What the three pages have in common, and what has nothing to do with streams:
// the editor, drag and drop, the keyboard. The board is replaced as a whole
// again and again, so nothing here holds on to one of its elements.

// The server shows the time of day where the visitor is.
document.cookie = `timezone=${Intl.DateTimeFormat().resolvedOptions().timeZone}; path=/; samesite=lax; max-age=31536000`

const $ = selector => document.querySelector(selector)
const editor = $('#editor')

// The editor is a dialog beside the board: no update touches it.
document.addEventListener('click', event => {
  if (event.target.closest('[data-close]')) editor.close()
  const card = event.target.closest('[data-edit]')?.closest('.card')
  if (card) edit(card)
})
document.addEventListener('dblclick', event => {
  const card = event.target.closest('.text')?.closest('.card')
  if (card) edit(card)
})

function edit(card) {
  const form = editor.querySelector('form')
  form.elements.id.value = card.dataset.card
  form.elements.revision.value = card.dataset.revision
  form.elements.text.value = card.querySelector('.text').textContent
  form.querySelector('output').replaceChildren()
  editor.showModal()
}

// The server has taken what a form has sent.
document.addEventListener('saved', event => {
  $('#notice').replaceChildren()
  if (editor.contains(event.target)) editor.close()
  else event.target.reset?.()
})

// Or it was not there to take it. Each page has its own name for that.
for (const name of ['unsent', 'htmx:sendError', 'htmx:error'])
  document.addEventListener(name, () => {
    const notice = editor.open ? editor.querySelector('output') : $('#notice')
    notice.innerHTML = '<p class="mistake">The server could not be reached. Try again in a moment.</p>'
  })

// Ctrl and Enter send what is being written.
document.addEventListener('keydown', event => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && event.target.matches('[data-submit]'))
    event.target.form.requestSubmit()
})

// Drag and drop. Where a card is dropped is sent by a form, like all the rest.
let dragged
document.addEventListener('dragstart', event => {
  dragged = event.target.closest?.('.card')?.dataset.card
  if (dragged) event.dataTransfer.setData('text/plain', event.target.closest('.card').querySelector('.text').textContent)
})
document.addEventListener('dragend', () => { dragged = undefined; mark() })
document.addEventListener('dragover', event => {
  const place = dragged && placeAt(event)
  if (!place) return
  event.preventDefault()
  mark(place)
})
document.addEventListener('drop', event => {
  const place = dragged && placeAt(event)
  if (!place) return
  event.preventDefault()
  const form = $('#mover')
  form.elements.id.value = dragged
  form.elements.to.value = `${place.column.dataset.column}/${place.before?.dataset.card ?? 0}`
  form.requestSubmit()
  dragged = undefined
  mark()
})

// placeAt finds the column under the pointer, and the card that is below it.
function placeAt(event) {
  const column = event.target.closest?.('.column')
  if (!column) return
  const before = [...column.querySelectorAll('.card')].find(card => {
    const box = card.getBoundingClientRect()
    return event.clientY < box.top + box.height / 2
  })
  return {column, before: before?.dataset.card === dragged ? nextCard(before) : before}
}

const nextCard = card => card.nextElementSibling?.matches('.card') ? card.nextElementSibling : undefined

function mark(place) {
  for (const element of document.querySelectorAll('.into, .before')) element.classList.remove('into', 'before')
  place?.column.classList.add('into')
  place?.before?.classList.add('before')
}

// The keyboard keeps its place when the button that it was on is replaced.
let focused = ''
document.addEventListener('focusin', event => focused = event.target.id)
document.addEventListener('pointerdown', () => focused = '')
new MutationObserver(() => {
  if (focused && document.activeElement === document.body) document.getElementById(focused)?.focus()
}).observe($('#board'), {childList: true})
