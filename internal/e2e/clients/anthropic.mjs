// Each line of the input is a request. It prints what the client yields.
import { createInterface } from 'node:readline'
import Anthropic from '@anthropic-ai/sdk'

const client = new Anthropic({ apiKey: 'none', baseURL: process.argv[2], maxRetries: 0 })
for await (const content of createInterface({ input: process.stdin })) {
  try {
    const stream = await client.messages.create({
      model: 'test', max_tokens: 100, stream: true, messages: [{ role: 'user', content }],
    })
    for await (const event of stream) {
      if (event.type === 'content_block_delta') console.log('text', event.delta.text)
      else console.log(event.type)
    }
    console.log('end')
  } catch (err) {
    console.log('error', String(err))
  }
}
