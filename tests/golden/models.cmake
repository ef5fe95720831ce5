# Real models against the truth.
add_executable(test_golden_models test_models.c)
target_link_libraries(test_golden_models PRIVATE golden_run)
# Gate (c), first part, on the real models.
foreach(model gemma3-270m qwen2.5-coder-0.5b)
    add_test(NAME golden.models.${model} COMMAND test_golden_models ${model}
        ${work}/models-${model}.realm)
    set_tests_properties(golden.models.${model} PROPERTIES LABELS golden TIMEOUT 900)
endforeach()

# Gate (c), second part: against Realm's own F32 reference, at the machine's highest level.
add_executable(test_golden_kl test_kl.c)
target_link_libraries(test_golden_kl PRIVATE golden_run rl_token PkgConfig::JANSSON)
foreach(model gemma3-270m qwen2.5-coder-0.5b qwen2.5-coder-1.5b)
    add_test(NAME golden.kl.${model} COMMAND test_golden_kl ${model} ${work}/kl-${model}.realm
        /usr/share/common-licenses/GPL-3)
    set_tests_properties(golden.kl.${model} PROPERTIES LABELS golden TIMEOUT 1800)
endforeach()
set_tests_properties(golden.kl.qwen2.5-coder-1.5b PROPERTIES LABELS "golden;long")

# No matmul of a real model falls to a level below the chosen one.
add_executable(test_golden_served test_served.c)
target_link_libraries(test_golden_served PRIVATE golden_run)
foreach(model gemma3-270m qwen2.5-coder-0.5b)
    add_test(NAME golden.served.${model} COMMAND test_golden_served ${model}
        ${work}/served-${model}.realm)
    set_tests_properties(golden.served.${model} PROPERTIES LABELS golden TIMEOUT 300)
endforeach()
