// Each line of the input is a request. It prints what the client yields.
import { createInterface } from 'node:readline'
import OpenAI from 'openai'

const client = new OpenAI({ apiKey: 'none', baseURL: process.argv[2], maxRetries: 0 })
for await (const content of createInterface({ input: process.stdin })) {
  try {
    const stream = await client.chat.completions.create({
      model: 'test', stream: true, messages: [{ role: 'user', content }],
    })
    for await (const chunk of stream) console.log('text', chunk.choices[0].delta.content)
    console.log('end')
  } catch (err) {
    console.log('error', String(err))
  }
}
