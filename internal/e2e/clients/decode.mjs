// Decodes streams with the module for browsers, and prints the events of each in a line, as
// type|data|id in JSON. A line of the input is a stream: its reads, in JSON and base64.
import { createInterface } from 'node:readline'
import { EventSource } from '../../../browser/eventsource.js'

let reads
globalThis.fetch = async () => new Response(new ReadableStream({
  start(controller) {
    for (const read of reads) controller.enqueue(Buffer.from(read, 'base64'))
    controller.close()
  },
}), { headers: { 'Content-Type': 'text/event-stream' } })

class Every extends EventSource {
  events = []
  dispatchEvent(event) {
    if (event instanceof MessageEvent) this.events.push(`${event.type}|${event.data}|${event.lastEventId}`)
    return super.dispatchEvent(event)
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  reads = JSON.parse(line)
  const source = new Every('http://localhost/')
  await new Promise(resolve => source.onerror = resolve)
  source.close()
  console.log(JSON.stringify(source.events.join(' / ')))
}
