//! Tests of tools that the server runs, in whole calls.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_core::call::{CommandKind, Place};
use antiphon_core::session::{ReplyInput, ReplyRequest};
use antiphon_core::{
    BoxFuture, CallControl, ConversationItem, Error, Event, HangUpReason, ItemContent, ItemId, ItemStatus,
    Part, Result, Role, Tool, ToolAnswer, ToolCall, ToolCaller, ToolChoice, Tools,
};
use tokio::time::sleep;

use super::stage::Stage;
use super::{command, ms};

/// Tools whose answers are scripted.
#[derive(Default)]
struct Scripted {
    /// The calls that were run, each with the person on whose behalf.
    ran: Mutex<Vec<(Option<String>, ToolCall)>>,
    takes: Duration,
    fails: bool,
    control: Option<CallControl>,
}

impl Tools for Scripted {
    fn list(&self) -> Vec<Tool> {
        let parameters = serde_json::Value::Null;
        vec![Tool { name: "time".to_owned(), description: "Tells the time.".to_owned(), parameters }]
    }

    fn run(&self, caller: &ToolCaller, call: ToolCall) -> BoxFuture<'static, Result<ToolAnswer>> {
        let person = caller.identity.person.as_ref().map(|person| person.as_str().to_owned());
        self.ran.lock().expect("no test panics while it holds a lock").push((person, call));
        let answer = if self.fails {
            Err(Error::unavailable("the clock has stopped"))
        } else {
            Ok(ToolAnswer { text: "12:00".to_owned(), control: self.control.clone() })
        };
        let takes = self.takes;
        Box::pin(async move {
            sleep(takes).await;
            answer
        })
    }
}

fn tools() -> Arc<Scripted> {
    Arc::default()
}

#[tokio::test(start_paused = true)]
async fn the_reply_goes_on_with_what_the_tool_answered() {
    let tools = tools();
    let stage = Stage::default().tools(tools.clone()).called_by("ada");
    let mut call = stage.call_tool("time", "{}").answer("It is noon.").answer("You are welcome.").call();
    call.says("what time is it", ms(1_000)).await;
    call.silence(ms(4_000)).await;
    assert_eq!(call.replies(), ["It is noon."], "one reply for the client");
    let ran = tools.ran.lock().expect("no test panics while it holds a lock").clone();
    assert_eq!(ran.len(), 1);
    assert_eq!((ran[0].0.as_deref(), ran[0].1.name.as_str()), (Some("ada"), "time"));
    let requests = call.requests();
    assert!(requests.iter().all(|request| request.tools.iter().any(|tool| tool.name == "time")));
    let roles: Vec<Role> = requests[1].messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::Tool]);
    assert_eq!(requests[1].messages[3].content, "12:00");
    let told = call.events();
    assert!(
        told.iter().any(|event| matches!(event, Event::ToolRan { tool, error: None, .. } if tool == "time"))
    );
    assert_eq!(call.latencies().len(), 1);
    call.says("thank you very much", ms(1_000)).await;
    call.silence(ms(3_000)).await;
    assert_eq!(call.replies().last().map(String::as_str), Some("You are welcome."));
}

#[tokio::test(start_paused = true)]
async fn a_client_is_not_asked_to_run_the_servers_tools() {
    let mut call = Stage::default().tools(tools()).call_tool("time", "{}").answer("It is noon.").call();
    call.says("what time is it", ms(1_000)).await;
    call.silence(ms(4_000)).await;
    let is_call = |content: &ItemContent| !matches!(content, ItemContent::Message { .. });
    for event in call.events() {
        match event {
            Event::ItemAdded { item, .. } | Event::ItemDone { item, .. } | Event::OutputDone { item, .. } => {
                assert!(!is_call(&item.content), "{item:?}");
            }
            Event::ReplyDone { output, .. } => assert!(output.iter().all(|item| !is_call(&item.content))),
            Event::OutputArguments { .. } => panic!("{event:?}"),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clients_tool_goes_before_the_servers_of_the_same_name() {
    let tools = tools();
    let stage = Stage::default().tools(tools.clone()).manual();
    let stage = stage.configured(|config| {
        let parameters = serde_json::Value::Null;
        config.model.tools = vec![Tool { name: "time".into(), description: "Mine.".into(), parameters }];
    });
    let mut call = stage.call_tool("time", "{}").call();
    call.asks(command(CommandKind::Reply(Box::default()))).await;
    call.silence(ms(500)).await;
    assert_eq!(call.requests()[0].tools.len(), 1);
    assert!(call.events().iter().any(|event| matches!(event, Event::OutputDone { item, .. }
        if matches!(item.content, ItemContent::ToolCall(_)))));
    assert!(tools.ran.lock().expect("no test panics while it holds a lock").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_fails_or_hangs_is_told_to_the_model() {
    for (tools, said) in [
        (Scripted { fails: true, ..Scripted::default() }, "the clock has stopped"),
        (Scripted { takes: Duration::from_hours(1), ..Scripted::default() }, "did not answer within 10 s"),
    ] {
        let stage = Stage::default().tools(Arc::new(tools)).call_tool("time", "{}").answer("I do not know.");
        let mut call = stage.call();
        call.says("what time is it", ms(1_000)).await;
        call.silence(ms(14_000)).await;
        let request = call.requests().pop().expect("asked");
        let told = request.messages.last().expect("an answer").content.clone();
        assert!(told.contains(said), "{told}");
        assert_eq!(call.replies(), ["I do not know."]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_only_calls_tools_is_made_to_answer() {
    let mut stage = Stage::default().tools(tools()).configured(|config| {
        config.model.tool_choice = ToolChoice::Required;
    });
    for _ in 0..4 {
        stage = stage.call_tool("time", "{}");
    }
    let mut call = stage.answer("It is noon.").call();
    call.says("what time is it", ms(1_000)).await;
    call.silence(ms(5_000)).await;
    let requests = call.requests();
    assert_eq!(requests.len(), 5);
    assert_eq!(requests[1].tool_choice, ToolChoice::Auto, "it need not call again");
    assert!(requests[4].tools.is_empty(), "it cannot call again");
    assert_eq!(call.replies(), ["It is noon."]);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_never_stops_calling_tools_is_stopped() {
    let tools = tools();
    let mut stage = Stage::default().tools(tools.clone());
    for _ in 0..9 {
        stage = stage.call_tool("time", "{}");
    }
    let mut call = stage.call();
    call.says("what time is it", ms(1_000)).await;
    call.silence(ms(8_000)).await;
    assert_eq!(tools.ran.lock().expect("no test panics while it holds a lock").len(), 4);
    assert_eq!(call.replies(), ["", "Sorry."]);
}

#[tokio::test(start_paused = true)]
async fn what_was_said_before_a_tool_was_called_is_read_when_the_reply_goes_on() {
    let stage = Stage::default().tools(tools()).says_and_calls("Let me look. ", &[("time", "{}")]);
    let mut call = stage.answer("It is noon.").answer("You are welcome.").call();
    call.says("what time is it", ms(1_000)).await;
    call.silence(ms(5_000)).await;
    assert_eq!(call.replies(), ["Let me look. It is noon."]);
    let messages = call.requests()[1].messages.clone();
    let called = &messages[2];
    assert_eq!(
        (called.role, called.content.as_str(), called.tool_calls.len()),
        (Role::Assistant, "Let me look.", 1)
    );
    call.says("thank you", ms(1_000)).await;
    call.silence(ms(3_000)).await;
    let messages = call.requests().pop().expect("asked").messages;
    let read: Vec<(Role, &str)> = messages.iter().skip(1).map(|m| (m.role, m.content.as_str())).collect();
    let expected = [
        (Role::User, "what time is it"),
        (Role::Assistant, ""),
        (Role::Tool, "12:00"),
        (Role::Assistant, "Let me look. It is noon."),
        (Role::User, "thank you"),
    ];
    assert_eq!(read, expected);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_calls_the_client_as_well_waits_for_its_answer() {
    let parameters = serde_json::Value::Null;
    let stage = Stage::default().tools(tools()).manual().configured(|config| {
        config.model.tools = vec![Tool { name: "door".into(), description: "Opens it.".into(), parameters }];
    });
    let stage = stage.says_and_calls("", &[("time", "{}"), ("door", "{}")]);
    let mut call = stage.answer("It is noon, come in.").call();
    call.asks(command(CommandKind::Reply(Box::default()))).await;
    call.silence(ms(1_000)).await;
    assert_eq!(call.requests().len(), 1, "the client has not answered yet");
    let content = ItemContent::ToolOutput { call_id: "call_2".to_owned(), output: "open".to_owned() };
    let item = ConversationItem { id: ItemId::new("o"), content, status: ItemStatus::Completed };
    call.asks(command(CommandKind::AddItem { item, place: Place::Last, audio: Vec::new() })).await;
    call.asks(command(CommandKind::Reply(Box::default()))).await;
    call.silence(ms(2_000)).await;
    let messages = call.requests().pop().expect("asked").messages;
    let answered: Vec<&str> = messages.iter().filter_map(|m| m.tool_call_id.as_deref()).collect();
    assert_eq!(messages[1].tool_calls.len(), 2);
    assert_eq!(answered, ["call_1", "call_2"]);
    assert_eq!(call.replies().last().map(String::as_str), Some("It is noon, come in."));
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_beside_the_conversation_has_the_clients_tools_only() {
    let mut call = Stage::default().tools(tools()).manual().answer("Aside.").call();
    let request = ReplyRequest { out_of_band: true, ..ReplyRequest::default() };
    call.asks(command(CommandKind::Reply(Box::new(request)))).await;
    call.silence(ms(1_000)).await;
    assert!(call.requests()[0].tools.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reply_to_given_input_goes_on_with_it() {
    let mut call = Stage::default().tools(tools()).manual().call_tool("time", "{}").answer("Noon.").call();
    let asked = ConversationItem::message(ItemId::new("i"), Role::User, Part::Text("The time?".to_owned()));
    let input = Some(vec![ReplyInput::Item(asked)]);
    let request = ReplyRequest { input, ..ReplyRequest::default() };
    call.asks(command(CommandKind::Reply(Box::new(request)))).await;
    call.silence(ms(1_000)).await;
    let messages = call.requests().pop().expect("asked").messages;
    let roles: Vec<Role> = messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::Tool]);
}

#[tokio::test(start_paused = true)]
async fn whoever_speaks_meanwhile_is_not_answered_late() {
    let tools = Scripted { takes: Duration::from_secs(8), ..Scripted::default() };
    let stage = Stage::default().tools(Arc::new(tools)).call_tool("time", "{}").answer("Of course.");
    let mut call = stage.call();
    call.says("what time is it", ms(1_000)).await;
    call.silence(ms(2_000)).await;
    call.types("Never mind.").await;
    call.silence(ms(12_000)).await;
    assert_eq!(call.replies().last().map(String::as_str), Some("Of course."));
    assert_eq!(call.requests().len(), 2, "the tool's answer is not waited for");
}

#[tokio::test(start_paused = true)]
async fn what_is_to_be_done_with_the_call_is_done_after_the_reply() {
    let control = Some(CallControl::HangUp(HangUpReason::Agent));
    let tools = Scripted { control, ..Scripted::default() };
    let stage =
        Stage::default().tools(Arc::new(tools)).call_tool("time", "{}").answer("It is noon. Goodbye.");
    let mut call = stage.call();
    call.says("what time is it", ms(1_000)).await;
    call.silence(ms(6_000)).await;
    assert!(call.hung_up());
    assert!(call.audio() > ms(1_000), "after it was heard");
}

#[tokio::test(start_paused = true)]
async fn what_the_line_cannot_do_is_told_to_the_model() {
    let tools = Scripted { control: Some(CallControl::Transfer("+1".to_owned())), ..Scripted::default() };
    let stage = Stage::default().tools(Arc::new(tools)).call_tool("time", "{}").answer("I cannot do that.");
    let mut call = stage.call();
    call.says("put me through", ms(1_000)).await;
    call.silence(ms(4_000)).await;
    let request = call.requests().pop().expect("asked");
    assert!(
        request.messages.last().is_some_and(|message| message.content.contains("This line cannot do that"))
    );
}
